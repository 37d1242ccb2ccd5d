from django.contrib import admin, messages
from django.contrib.auth.admin import UserAdmin as DjangoUserAdmin
from django.contrib.auth.models import Group
from django.db.models import QuerySet
from django.http import HttpRequest
from unfold.admin import ModelAdmin
from unfold.forms import AdminPasswordChangeForm, UserChangeForm, UserCreationForm

from access.models import ServiceKey, User
from access.services import revoke_service_keys

admin.site.unregister(Group)


@admin.register(User)
class UserAdmin(DjangoUserAdmin, ModelAdmin):  # type: ignore[type-arg,misc]
    form, add_form, change_password_form = UserChangeForm, UserCreationForm, AdminPasswordChangeForm
    list_display = ["id", "username", "external_id", "is_staff", "date_joined"]
    list_display_links = ["id", "username"]
    list_filter = ["is_staff", "is_active"]
    search_fields = ["username", "external_id"]
    fieldsets = [*DjangoUserAdmin.fieldsets, ("musicrec", {"fields": ["external_id"]})]  # type: ignore[misc]
    show_full_result_count = False


@admin.register(ServiceKey)
class ServiceKeyAdmin(ModelAdmin):  # type: ignore[misc]
    """Keys are made by `manage.py create_service_key`, which shows them once; here they are seen and revoked."""

    list_display = ["name", "prefix", "scopes", "created_at", "revoked_at"]
    readonly_fields = ["name", "prefix", "scopes", "created_at", "revoked_at"]
    exclude = ["digest"]
    actions = ["revoke"]

    def has_add_permission(self, request: HttpRequest) -> bool:
        return False

    @admin.action(description="Revoke: refuse these keys from now on", permissions=["change"])
    def revoke(self, request: HttpRequest, keys: QuerySet[ServiceKey]) -> None:
        self.message_user(request, f"{revoke_service_keys(keys)} keys revoked.", messages.SUCCESS)
