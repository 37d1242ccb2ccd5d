"""Creates a row about a listener in every table that can have one, including tables added in the future."""

import uuid
from collections.abc import Iterator
from typing import Any

import numpy as np
from django.contrib.admin.models import CHANGE, LogEntry
from django.contrib.auth import SESSION_KEY
from django.contrib.auth.models import Group
from django.contrib.contenttypes.models import ContentType
from django.contrib.sessions.backends.db import SessionStore
from django.db import models

from access.models import User
from interactions.models import EventBatch
from tests.people import NOON, CatalogueFactory
from tracks.models import Track


def listener_foreign_keys() -> Iterator[tuple[type[models.Model], Any]]:
    """Yield every model with a foreign key to the user model, and the field."""
    from django.apps import apps

    for model in apps.get_models(include_auto_created=True):
        for field in model._meta.concrete_fields:
            if field.related_model is User:
                yield model, field


def create_rows_about(user: User, catalogue: CatalogueFactory) -> set[str]:
    """Create the rows and return the names of the tables that now have a row about `user`."""
    track = catalogue.tracks(1)[0]
    Group.objects.get_or_create(name="friends")
    for model, field in listener_foreign_keys():
        model._base_manager.create(**_values(model, track) | {field.name: user})
    about = {"content_type": ContentType.objects.get_for_model(User), "object_id": str(user.pk)}
    operator = User.objects.create(username=f"operator of {user.pk}", is_staff=True)
    LogEntry.objects.create(user=operator, action_flag=CHANGE, object_repr=user.username, **about)
    EventBatch.objects.create(principal=f"user:{user.pk}", key="k", digest="d", receipt={})
    session = SessionStore()
    session[SESSION_KEY] = str(user.pk)
    session.save()
    return {model._meta.db_table for model, _ in listener_foreign_keys()} | {"event_batches", "django_session"}


def _values(model: type[models.Model], track: Track) -> dict[str, Any]:
    """Return values for the fields that have no default."""
    return {f.name: _value(f, track) for f in model._meta.concrete_fields if not _has_default(f)}


def _has_default(field: Any) -> bool:
    automatic = isinstance(field, models.AutoField) or getattr(field, "auto_now_add", False)
    return automatic or field.has_default() or (field.null and field.related_model is not Track)


def _value(field: Any, track: Track) -> Any:
    if field.is_relation:
        return track if field.related_model is Track else field.related_model._base_manager.first()
    if field.choices:
        return field.choices[0][0]
    kinds: list[tuple[Any, Any]] = [
        (models.DateTimeField, NOON),
        (models.DateField, NOON.date()),
        (models.BinaryField, np.ones(2, "<f4").tobytes()),
        (models.UUIDField, uuid.uuid4()),
        (models.JSONField, [track.pk]),
        (models.CharField | models.TextField, uuid.uuid4().hex[: field.max_length]),
        (models.IntegerField, track.pk),
    ]
    return next((value for kind, value in kinds if isinstance(field, kind)), None)
