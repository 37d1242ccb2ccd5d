"""Find the rows about a listener in all tables of the database.

The models are found by their relations to User, so that a table added later is not forgotten. Models that name a
listener without a relation are listed in `_filters_without_relation`.
"""

from typing import Any

from django.contrib.admin.models import LogEntry
from django.contrib.auth import SESSION_KEY
from django.contrib.sessions.models import Session
from django.db import models
from django.db.models import Q

from access.models import User
from interactions.models import EventBatch

RowFilters = dict[type[models.Model], Q]


def personal_data_of(user_id: int) -> RowFilters:
    """Return filters for the rows about a listener by model, in order of table names, without the account itself."""
    filters = _filters_without_relation(user_id)
    for relation in _relations():
        model = relation.related_model
        filters[model] = filters.get(model, Q()) | Q(**{relation.field.name: user_id})
    return dict(sorted(filters.items(), key=lambda item: item[0]._meta.db_table))


def tables_with_data_of(user_id: int) -> list[str]:
    """Return the names of the tables that hold rows about a listener, including the account's."""
    filters = personal_data_of(user_id) | {User: Q(pk=user_id)}
    return [model._meta.db_table for model, rows in filters.items() if model._base_manager.filter(rows).exists()]


def anonymise(user_id: int) -> None:
    """Remove the listener from rows that remain when the listener is deleted: those whose relation is SET_NULL."""
    for relation in _relations():
        if relation.on_delete is models.SET_NULL:
            name = relation.field.name
            relation.related_model._base_manager.filter(**{name: user_id}).update(**{name: None})


def _relations() -> list[Any]:
    """Return all relations to User, including hidden ones such as those of many-to-many tables."""
    fields: list[Any] = User._meta.get_fields(include_hidden=True)
    return [f for f in fields if f.auto_created and not f.concrete and (f.one_to_many or f.one_to_one)]


def _filters_without_relation(user_id: int) -> RowFilters:
    # The user id of a session is inside its encoded data. Only the admin uses sessions, so there are few to decode.
    sessions = [s.pk for s in Session.objects.iterator() if s.get_decoded().get(SESSION_KEY) == str(user_id)]
    return {
        EventBatch: Q(principal=f"user:{user_id}"),
        LogEntry: Q(content_type__app_label="access", content_type__model="user", object_id=str(user_id)),
        Session: Q(pk__in=sessions),
    }
