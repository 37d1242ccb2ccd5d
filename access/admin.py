from django.contrib import admin, messages
from django.contrib.admin.models import LogEntry
from django.contrib.auth.admin import UserAdmin as DjangoUserAdmin
from django.contrib.auth.models import Group
from django.db.models import QuerySet
from django.http import HttpRequest
from unfold.admin import ModelAdmin
from unfold.forms import AdminPasswordChangeForm, UserChangeForm, UserCreationForm

from access.listen_tokens import revoke_listen_tokens
from access.models import Erasure, ListenToken, ServiceKey, SignIn, User
from access.services import revoke_service_keys
from access.sign_ins import sign_out_everywhere
from common.admin import ReadOnlyAdmin

admin.site.unregister(Group)
_OURS = ["external_id", "consent", "market", "allow_explicit"]


@admin.register(User)
class UserAdmin(DjangoUserAdmin, ModelAdmin):  # type: ignore[type-arg,misc]
    form, add_form, change_password_form = UserChangeForm, UserCreationForm, AdminPasswordChangeForm
    list_display = ["id", "username", "external_id", "is_staff", "date_joined"]
    list_display_links = ["id", "username"]
    list_filter = ["is_staff", "is_active", "consent", "market"]
    search_fields = ["username", "external_id"]
    fieldsets = [*DjangoUserAdmin.fieldsets, ("musicrec", {"fields": _OURS})]  # type: ignore[misc,typeddict-item]
    actions = ["sign_out_everywhere"]
    show_full_result_count = False

    @admin.action(description="Sign out everywhere: refuse their tokens from now on", permissions=["change"])
    def sign_out_everywhere(self, request: HttpRequest, users: QuerySet[User]) -> None:
        ended = sign_out_everywhere(users)
        for user in users:
            self.log_change(request, user, "Signed out everywhere.")
        self.message_user(request, f"{ended} sign-ins of {len(users)} listeners have ended.", messages.SUCCESS)


@admin.register(SignIn)
class SignInAdmin(ReadOnlyAdmin):
    """A listener's phones; "Sign out everywhere" stands in the list of users."""

    list_display = ["user", "created_at", "refreshed_at", "expires_at"]
    list_select_related = ["user"]
    search_fields = ["user__username"]
    fields = ["user", "created_at", "refreshed_at", "expires_at"]


@admin.register(ServiceKey)
class ServiceKeyAdmin(ModelAdmin):  # type: ignore[misc]
    """Keys are made by `manage.py create_service_key`, which shows them once; here they are seen and revoked."""

    list_display = ["name", "prefix", "scopes", "last_used_at", "previous_until", "expires_at", "revoked_at"]
    fields = readonly_fields = ["name", "prefix", "scopes", "created_at", *list_display[3:]]
    actions = ["revoke"]

    def has_add_permission(self, request: HttpRequest) -> bool:
        return False

    @admin.action(description="Revoke: refuse these keys from now on", permissions=["change"])
    def revoke(self, request: HttpRequest, keys: QuerySet[ServiceKey]) -> None:
        in_use = [key for key in keys if key.revoked_at is None]
        self.message_user(request, f"{revoke_service_keys(in_use)} keys revoked.", messages.SUCCESS)
        for key in in_use:
            self.log_change(request, key, "Revoked.")


@admin.register(ListenToken)
class ListenTokenAdmin(ModelAdmin):  # type: ignore[misc]
    """Tokens are made by `manage.py create_listen_token`, which shows them once; here they are seen and revoked."""

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
    def revoke(self, request: HttpRequest, tokens: QuerySet[ListenToken]) -> None:
        in_use = [token for token in tokens if token.revoked_at is None]
        self.message_user(request, f"{revoke_listen_tokens(in_use)} tokens revoked.", messages.SUCCESS)
        for token in in_use:
            self.log_change(request, token, "Revoked.")


@admin.register(Erasure)
class ErasureAdmin(ReadOnlyAdmin):
    list_display = ["receipt", "user_id", "requested_at", "completed_at"]
    list_filter = [("completed_at", admin.EmptyFieldListFilter)]
    search_fields = ["receipt", "=user_id"]
    fields = ["receipt", "user_id", "requested_at", "completed_at", "erased"]


@admin.register(LogEntry)
class LogEntryAdmin(ReadOnlyAdmin):
    """Who changed what in the admin, and when."""

    list_display = ["action_time", "user", "action_flag", "content_type", "object_repr", "said"]
    list_filter = ["action_flag", ("user", admin.RelatedOnlyFieldListFilter), "content_type"]
    list_select_related = ["user", "content_type"]
    search_fields = ["object_repr", "change_message"]
    date_hierarchy = "action_time"
    fields = ["action_time", "user", "action_flag", "content_type", "object_id", "object_repr", "said"]

    @admin.display(description="change")
    def said(self, entry: LogEntry) -> str:
        return entry.get_change_message()
