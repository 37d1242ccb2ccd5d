from typing import Any

from django.contrib import messages
from django.contrib.admin.models import CHANGE, LogEntry
from django.contrib.contenttypes.models import ContentType
from django.http import HttpRequest, HttpResponseRedirect
from django.urls import URLPattern, path, reverse
from django.views.decorators.http import require_POST

from common.admin import ReadOnlyAdmin


class ButtonAdmin(ReadOnlyAdmin):
    """A list with a button above it, which posts; a link must not change anything."""

    button_label = button_hint = button_url_name = ""
    list_before_template = "recommendations/button.html"

    def get_urls(self) -> list[URLPattern]:
        view = self.admin_site.admin_view(require_POST(self._press))
        return [path("press", view, name=self.button_url_name), *super().get_urls()]

    def changelist_view(self, request: HttpRequest, extra_context: dict[str, Any] | None = None) -> Any:
        button = {"label": self.button_label, "hint": self.button_hint, "url": reverse(f"admin:{self.button_url_name}")}
        shown = button if request.user.is_superuser else None
        return super().changelist_view(request, {**(extra_context or {}), "button": shown})

    def _press(self, request: HttpRequest) -> HttpResponseRedirect:
        if request.user.is_superuser:
            self.press(request)
            self._log(request)
        else:
            self.message_user(request, "Only a superuser may do this.", messages.ERROR)
        return HttpResponseRedirect(reverse(f"admin:{self.opts.app_label}_{self.opts.model_name}_changelist"))

    def _log(self, request: HttpRequest) -> None:
        """In the list of what was changed in the admin, where it stands without an object of its own."""
        LogEntry.objects.create(
            user_id=int(request.user.pk or 0),
            content_type=ContentType.objects.get_for_model(self.model),
            object_repr=self.button_label,
            action_flag=CHANGE,
            change_message=f"Pressed “{self.button_label}”.",
        )

    def press(self, request: HttpRequest) -> None:
        raise NotImplementedError
