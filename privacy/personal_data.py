"""What the database holds about a listener. Found by walking the relations, so that a table added later is not
forgotten; what names a listener without a relation is listed here by hand."""

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
    """Each model with rows about a listener, by the name of its table, and what finds them. Not the account itself."""
    found: RowFilters = {}
    for relation in _relations():
        found[relation.related_model] = found.get(relation.related_model, Q()) | Q(**{relation.field.name: user_id})
    for model, about in _without_relation(user_id).items():
        found[model] = found.get(model, Q()) | about
    return dict(sorted(found.items(), key=lambda one: one[0]._meta.db_table))


def tables_with_data_of(user_id: int) -> list[str]:
    """Tables that hold something about a listener, the account included."""
    filters = personal_data_of(user_id) | {User: Q(pk=user_id)}
    return [model._meta.db_table for model, rows in filters.items() if model._base_manager.filter(rows).exists()]


def anonymise(user_id: int) -> None:
    """Take the listener's name from rows that outlast them: those whose relation says SET_NULL."""
    for relation in _relations():
        if relation.on_delete is models.SET_NULL:
            name = relation.field.name
            relation.related_model._base_manager.filter(**{name: user_id}).update(**{name: None})


def _relations() -> list[Any]:
    """Also the hidden ones, among them those of the tables behind many-to-many fields."""
    fields: list[Any] = User._meta.get_fields(include_hidden=True)
    return [f for f in fields if f.auto_created and not f.concrete and (f.one_to_many or f.one_to_one)]


def _without_relation(user_id: int) -> RowFilters:
    return {
        EventBatch: Q(principal=f"user:{user_id}"),
        LogEntry: Q(content_type__app_label="access", content_type__model="user", object_id=str(user_id)),
        Session: Q(pk__in=_sessions(user_id)),
    }


def _sessions(user_id: int) -> list[str]:
    """Keys of their sessions in the admin; a session says whose it is only once it is decoded."""
    sessions = Session.objects.iterator()
    return [s.session_key for s in sessions if s.get_decoded().get(SESSION_KEY) == str(user_id)]
