from django.contrib import admin, messages
from django.contrib.admin.models import LogEntry
from django.contrib.auth.models import Group
from django.db.models import QuerySet
from django.http import HttpRequest, HttpResponse
from django.template.defaultfilters import pluralize
from unfold.admin import ModelAdmin

from access.listen_tokens import revoke_listen_tokens
from access.models import ListenToken, ServiceKey, SignIn
from access.services import revoke_service_keys
from common.admin import ReadOnlyAdmin, list_url
from common.confirmation import Confirmation, confirmation_page, is_confirmed

admin.site.unregister(Group)  # permissions are granted to users


@admin.register(SignIn)
class SignInAdmin(ReadOnlyAdmin):
    """The devices on which listeners are signed in. The list of users has the action "Sign out everywhere"."""

    list_display = ["user", "created_at", "refreshed_at", "expires_at"]
    list_select_related = ["user"]
    search_fields = ["user__username"]
    fields = ["user", "created_at", "refreshed_at", "expires_at"]


@admin.register(ServiceKey)
class ServiceKeyAdmin(ModelAdmin):  # type: ignore[misc]
    """Service keys can be viewed and revoked. `manage.py create_service_key` creates them and shows them once."""

    list_display = ["name", "prefix", "scopes", "last_used_at", "previous_until", "expires_at", "revoked_at"]
    fields = readonly_fields = ["name", "prefix", "scopes", "created_at", *list_display[3:]]
    actions = ["revoke"]

    def has_add_permission(self, request: HttpRequest) -> bool:
        return False

    @admin.action(description="Revoke: refuse these keys from now on", permissions=["change"])
    def revoke(self, request: HttpRequest, keys: QuerySet[ServiceKey]) -> HttpResponse | None:
        in_use = [key for key in keys if key.revoked_at is None]
        if in_use and not is_confirmed(request):
            confirmation = Confirmation(
                question=f"Revoke {', '.join(key.name for key in in_use)}?",
                button="Revoke",
                consequences=[
                    "Every back end that uses one of these keys is refused from its next request on.",
                    "A key cannot be restored; `manage.py create_service_key` creates another one.",
                ],
            )
            return confirmation_page(self, request, confirmation, list_url(self))
        self.message_user(request, f"{revoke_service_keys(in_use)} keys revoked.", messages.SUCCESS)
        for key in in_use:
            self.log_change(request, key, "Revoked.")
        return None


@admin.register(ListenToken)
class ListenTokenAdmin(ModelAdmin):  # type: ignore[misc]
    """Listen tokens can be viewed and revoked. `manage.py create_listen_token` creates them and shows them once."""

    list_display = ["prefix", "user", "name", "created_at", "last_used_at", "revoked_at"]
    list_select_related = ["user"]
    search_fields = ["user__username", "name", "prefix"]
    readonly_fields = ["prefix", "user", "name", "created_at", "last_used_at", "revoked_at"]
    exclude = ["digest"]
    actions = ["revoke"]
    show_full_result_count = False

    def has_add_permission(self, request: HttpRequest) -> bool:
        return False

    @admin.action(description="Revoke: refuse these tokens from now on", permissions=["change"])
    def revoke(self, request: HttpRequest, tokens: QuerySet[ListenToken]) -> HttpResponse | None:
        in_use = [token for token in tokens if token.revoked_at is None]
        if in_use and not is_confirmed(request):
            confirmation = Confirmation(
                question=f"Revoke {len(in_use)} listen token{pluralize(len(in_use))}?",
                button="Revoke",
                consequences=[
                    f"Scrobblers with these tokens are refused from now on: {', '.join(map(str, in_use))}.",
                    "A token cannot be restored; `manage.py create_listen_token` creates another one.",
                ],
            )
            return confirmation_page(self, request, confirmation, list_url(self))
        self.message_user(request, f"{revoke_listen_tokens(in_use)} tokens revoked.", messages.SUCCESS)
        for token in in_use:
            self.log_change(request, token, "Revoked.")
        return None


@admin.register(LogEntry)
class LogEntryAdmin(ReadOnlyAdmin):
    """The log of changes made in the admin."""

    list_display = ["action_time", "user", "action_flag", "content_type", "object_repr", "message"]
    list_filter = ["action_flag", ("user", admin.RelatedOnlyFieldListFilter), "content_type"]
    list_select_related = ["user", "content_type"]
    search_fields = ["object_repr", "change_message"]
    date_hierarchy = "action_time"
    fields = ["action_time", "user", "action_flag", "content_type", "object_id", "object_repr", "message"]

    @admin.display(description="change")
    def message(self, entry: LogEntry) -> str:
        return entry.get_change_message()
