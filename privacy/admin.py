from typing import Any

from django.contrib import admin, messages
from django.contrib.auth.admin import UserAdmin as DjangoUserAdmin
from django.db.models import QuerySet
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from django.urls import reverse
from unfold.admin import ModelAdmin
from unfold.decorators import action
from unfold.forms import AdminPasswordChangeForm, UserChangeForm, UserCreationForm

from access.models import Erasure, User
from access.sign_ins import sign_out_everywhere
from common.admin import ReadOnlyAdmin, list_url
from common.confirmation import Confirmation, confirmation_page, is_confirmed
from privacy.erasure import OperatorAccount
from privacy.services import erase_listener

MAX_NAMED_USERS = 5


@admin.register(User)
class ListenerAdmin(DjangoUserAdmin, ModelAdmin):  # type: ignore[type-arg,misc]
    """The admin of listeners. It is part of this app because deleting a listener is a request to erase them."""

    form, add_form, change_password_form = UserChangeForm, UserCreationForm, AdminPasswordChangeForm
    list_display = ["id", "username", "external_id", "display_name", "is_staff", "date_joined"]
    list_display_links = ["id", "username"]
    list_filter = ["is_staff", "is_active", "consent", "market"]
    search_fields = ["username", "external_id", "display_name"]
    fieldsets = [  # type: ignore[misc]
        *DjangoUserAdmin.fieldsets,
        ("musicrec", {"fields": ["external_id", "display_name", "consent", "market", "allow_explicit"]}),
    ]
    actions = ["sign_out_everywhere"]
    actions_detail = ["plays_and_recommendations"]
    actions_row = ["plays_and_recommendations"]
    show_full_result_count = False

    @admin.action(description="Sign out everywhere: refuse their tokens from now on", permissions=["change"])
    def sign_out_everywhere(self, request: HttpRequest, users: QuerySet[User]) -> HttpResponse | None:
        if not is_confirmed(request):
            confirmation = Confirmation(
                question=f"Sign out {_name_users(users)} everywhere?",
                button="Sign out everywhere",
                consequences=["Every device of theirs is signed out with its next request, and asks for the password."],
            )
            return confirmation_page(self, request, confirmation, list_url(self))
        ended = sign_out_everywhere(users)
        for user in users:
            self.log_change(request, user, "Signed out everywhere.")
        self.message_user(request, f"{ended} sign-ins of {len(users)} listeners have ended.", messages.SUCCESS)
        return None

    @action(  # type: ignore[untyped-decorator]
        description="Plays and recommendations",
        url_path="listener",
        icon="graphic_eq",
        permissions=["view_listener"],
    )
    def plays_and_recommendations(self, request: HttpRequest, object_id: str) -> HttpResponse:
        return HttpResponseRedirect(reverse("admin:recommendations_listener_change", args=[object_id]))

    def has_view_listener_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        # Not named in the action itself, because unfold would look the permission up before the database is migrated.
        return request.user.has_perm("recommendations.view_listener")

    def get_deleted_objects(self, objs: Any, request: HttpRequest) -> Any:
        """List the listeners alone for confirmation: the rows about one of them can be a hundred thousand."""
        return [f"{user}, and all data about them" for user in objs], {}, set(), []

    def delete_model(self, request: HttpRequest, obj: User) -> None:
        """Close the account and erase the listener in the background; delete an operator's account at once."""
        try:
            receipt = erase_listener(obj.pk).receipt
        except OperatorAccount:
            super().delete_model(request, obj)
        else:
            self.message_user(request, f"{obj} is being erased; the receipt is {receipt}.", messages.SUCCESS)

    def delete_queryset(self, request: HttpRequest, queryset: QuerySet[User]) -> None:
        for user in queryset:
            self.delete_model(request, user)


def _name_users(users: QuerySet[User]) -> str:
    return ", ".join(map(str, users)) if len(users) <= MAX_NAMED_USERS else f"{len(users):,} listeners"


@admin.register(Erasure)
class ErasureAdmin(ReadOnlyAdmin):
    list_display = ["receipt", "user_id", "requested_at", "completed_at"]
    list_filter = [("completed_at", admin.EmptyFieldListFilter)]
    search_fields = ["receipt", "=user_id"]
    fields = ["receipt", "user_id", "requested_at", "completed_at", "erased"]
