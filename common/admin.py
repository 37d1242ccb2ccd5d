from typing import Any

from django.contrib import messages
from django.contrib.admin.models import CHANGE, LogEntry
from django.contrib.contenttypes.models import ContentType
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from django.urls import URLPattern, path, reverse
from unfold.admin import ModelAdmin


def list_url(model_admin: ModelAdmin) -> str:
    return reverse(f"admin:{model_admin.opts.app_label}_{model_admin.opts.model_name}_changelist")


class ReadOnlyAdmin(ModelAdmin):  # type: ignore[misc]
    """Admin for rows that the service writes and operators only read."""

    show_full_result_count = False

    def has_add_permission(self, request: HttpRequest) -> bool:
        return False

    def has_change_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return False

    def has_delete_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return False


class ActionButtonAdmin(ReadOnlyAdmin):
    """A read-only list with a button above it, for superusers only.

    The button sends a POST, because following a link must not change anything. Subclasses set the three attributes and
    implement `perform_action`, which calls `log_action` when it has changed something, and which may return a page that
    asks for a confirmation instead.
    """

    button_label = ""
    button_hint = ""
    button_view_name = ""
    list_before_template = "common/action_button.html"

    def perform_action(self, request: HttpRequest) -> HttpResponse | None:
        raise NotImplementedError

    def log_action(self, request: HttpRequest, change_message: str) -> None:
        """Add an entry to the log of the admin, which lists it without a link: there is no object that was changed."""
        LogEntry.objects.create(
            user_id=int(request.user.pk or 0),
            content_type=ContentType.objects.get_for_model(self.model),
            object_repr=self.button_label,
            action_flag=CHANGE,
            change_message=change_message,
        )

    def get_urls(self) -> list[URLPattern]:
        view = self.admin_site.admin_view(self._handle_button)
        return [path("press", view, name=self.button_view_name), *super().get_urls()]

    def changelist_view(self, request: HttpRequest, extra_context: dict[str, Any] | None = None) -> Any:
        button = None
        if request.user.is_superuser:
            url = reverse(f"admin:{self.button_view_name}")
            button = {"label": self.button_label, "hint": self.button_hint, "url": url}
        return super().changelist_view(request, {**(extra_context or {}), "button": button})

    def _handle_button(self, request: HttpRequest) -> HttpResponse:
        if request.method != "POST":  # the address of a confirmation, opened again
            return HttpResponseRedirect(list_url(self))
        if request.user.is_superuser:
            if page := self.perform_action(request):
                return page
        else:
            self.message_user(request, "Only a superuser may do this.", messages.ERROR)
        return HttpResponseRedirect(list_url(self))
