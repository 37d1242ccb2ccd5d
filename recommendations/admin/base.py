from typing import Any

from django.contrib import messages
from django.http import HttpRequest, HttpResponseRedirect
from django.urls import URLPattern, path, reverse
from django.views.decorators.http import require_POST
from unfold.admin import ModelAdmin


class ReadOnlyAdmin(ModelAdmin):  # type: ignore[misc]
    """What the service writes, people only look at."""

    show_full_result_count = False

    def has_add_permission(self, request: HttpRequest) -> bool:
        return False

    def has_change_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return False

    def has_delete_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return False


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
        else:
            self.message_user(request, "Only a superuser may do this.", messages.ERROR)
        return HttpResponseRedirect(reverse(f"admin:{self.opts.app_label}_{self.opts.model_name}_changelist"))

    def press(self, request: HttpRequest) -> None:
        raise NotImplementedError
