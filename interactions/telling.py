from collections.abc import Iterable
from typing import TYPE_CHECKING, Any

from django.db import models

from access.services import bump_user_revisions

if TYPE_CHECKING:
    from interactions.models import Interaction


class TellingQuerySet(models.QuerySet["Interaction", "Interaction"]):
    def bulk_create(self, objs: "Iterable[Interaction]", *args: Any, **kwargs: Any) -> "list[Interaction]":
        created = super().bulk_create(objs, *args, **kwargs)
        bump_user_revisions(one.user_id for one in created)
        return created


class Telling(models.Model):
    """Whatever adds interactions tells of whom. (`interactions.bulk` writes past it, and tells by itself.)"""

    user_id: int
    objects = TellingQuerySet.as_manager()

    class Meta:
        abstract = True

    def save(self, *args: Any, **kwargs: Any) -> None:
        super().save(*args, **kwargs)
        bump_user_revisions([self.user_id])
