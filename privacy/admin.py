"""Deleting a listener in the admin is the wish to be forgotten, as by the API: closed at once, erased soon after."""

from typing import Any

from django.contrib import admin, messages
from django.db.models import QuerySet
from django.http import HttpRequest

from access.admin import UserAdmin
from access.models import User
from privacy.erasure import OperatorAccount
from privacy.services import erase_listener

admin.site.unregister(User)


@admin.register(User)
class ListenerAdmin(UserAdmin):
    def get_deleted_objects(self, objs: Any, request: HttpRequest) -> Any:
        """The names alone: all that is held about somebody can be a hundred thousand rows."""
        said = [f"{user}, and everything that is held about them" for user in objs]
        return said, {}, set(), []

    def delete_model(self, request: HttpRequest, obj: User) -> None:
        try:
            receipt = erase_listener(obj.pk).receipt
        except OperatorAccount:
            super().delete_model(request, obj)
        else:
            self.message_user(request, f"{obj} is being erased; the receipt is {receipt}.", messages.SUCCESS)

    def delete_queryset(self, request: HttpRequest, queryset: QuerySet[User]) -> None:
        for user in queryset:
            self.delete_model(request, user)
