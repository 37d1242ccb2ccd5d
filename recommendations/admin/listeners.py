"""Admin of listeners: a list to find one, and a page about what they play and why tracks are recommended to them."""

from datetime import timedelta
from typing import Any

from django.contrib import admin
from django.contrib.admin.models import CHANGE, LogEntry
from django.contrib.contenttypes.models import ContentType
from django.core.exceptions import PermissionDenied
from django.db.models import Exists, OuterRef, QuerySet
from django.http import Http404, HttpRequest, HttpResponse
from django.template.response import TemplateResponse
from django.utils import timezone

from access.models import Erasure, User
from common.admin import ReadOnlyAdmin
from recommendations.admin.listener_page.page import listener_page
from recommendations.models import Listener

VIEWED = "Looked at their plays and recommendations."
LOG_AGAIN_AFTER = timedelta(hours=1)  # the pages of one look are one entry


@admin.register(Listener)
class ListenerPageAdmin(ReadOnlyAdmin):
    """The list of listeners, without those whose erasure is pending, and a page about each.

    That somebody looked is logged in the history of the account.
    """

    list_display = ["id", "username", "external_id", "display_name", "consent", "market", "date_joined"]
    list_display_links = ["id", "username"]
    list_filter = ["consent", "market"]
    search_fields = ["id__exact", "username", "external_id", "display_name"]
    search_help_text = "User id, username, external id or display name"
    ordering = ["-id"]

    class Media:
        css = {"all": ["common/admin_pages.css"]}

    def get_queryset(self, request: HttpRequest) -> QuerySet[Listener]:
        erasure = Erasure.objects.filter(user_id=OuterRef("pk"))
        listeners: QuerySet[Listener] = super().get_queryset(request).filter(~Exists(erasure))
        return listeners

    def change_view(
        self, request: HttpRequest, object_id: str, form_url: str = "", extra_context: dict[str, Any] | None = None
    ) -> HttpResponse:
        if not self.has_view_permission(request):
            raise PermissionDenied
        listener: Listener | None = self.get_object(request, object_id)
        if listener is None:
            raise Http404("There is no listener with this id.")
        self._log_view(request, listener)
        context = {"opts": self.opts, "original": listener, "title": str(listener), "media": self.media}
        context = self.admin_site.each_context(request) | context | listener_page(listener, request.GET)
        return TemplateResponse(request, "recommendations/listener.html", context)

    def _log_view(self, request: HttpRequest, listener: Listener) -> None:
        """Add an entry to the account's history, which is exported and erased with the account."""
        entry = {
            "user_id": int(request.user.pk or 0),
            "content_type": ContentType.objects.get_for_model(User),
            "object_id": str(listener.pk),
            "change_message": VIEWED,
        }
        if not LogEntry.objects.filter(**entry, action_time__gt=timezone.now() - LOG_AGAIN_AFTER).exists():
            LogEntry.objects.create(**entry, object_repr=str(listener)[:200], action_flag=CHANGE)
