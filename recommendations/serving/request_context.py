"""Who asks, about whom, and in which state that is: one query, whoever asks."""

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from functools import cached_property, lru_cache
from time import perf_counter
from typing import Any
from uuid import UUID

import orjson
from django.db.models import BigIntegerField, Exists, OuterRef, Q, QuerySet
from django.utils import timezone

from access.models import ServiceKey, User
from access.selectors import (
    DIGEST,
    LISTENER,
    NOW,
    SIGN_IN,
    ListenerSettings,
    listener_settings_subquery,
    parse_listener_settings,
    signed_in_users,
    usable_service_keys,
)
from common.prepared_queries import PreparedQuery, QueryParameter
from interactions.selectors import (
    Blocks,
    History,
    blocks_subquery,
    history_subquery,
    load_history,
    parse_blocks,
    parse_history,
)
from tracks.models import Catalogue
from tracks.selectors import catalogue_revision, catalogue_revision_subquery

UNKNOWN = -1
_REVISION = QueryParameter("revision", BigIntegerField())
_CATALOGUE = QueryParameter("catalogue", BigIntegerField())


@dataclass(frozen=True)
class Revisions:
    """What an answer depends on beside the version and the question: the listener's revision, the catalogue's."""

    listener: int = UNKNOWN
    catalogue: int = UNKNOWN


@dataclass(frozen=True)
class RequestContext:
    """listener: whom it is about, None for an answer that is nobody's · known: the state that the process has an answer
    for; only where the listener is in another one, the history came along · seconds: that it took."""

    listener: int | None
    known: Revisions
    columns: Sequence[Any]
    seconds: float = 0.0

    @cached_property
    def standing(self) -> ListenerSettings:
        return parse_listener_settings(self.columns[0])

    @cached_property
    def blocks(self) -> Blocks:
        return parse_blocks(self.columns[1])

    @property
    def catalogue(self) -> int | None:
        return None if self.columns[2] is None else int(self.columns[2])

    @property
    def state(self) -> Revisions:
        return Revisions(self.standing.revision, UNKNOWN if self.catalogue is None else self.catalogue)

    @cached_property
    def past(self) -> History:
        if self.listener is None or not self.standing.known:
            return History()
        return parse_history(self.columns[3]) if self.state != self.known else load_history(self.listener)


def load_context_by_key(key: str, listener: int | None, known: Revisions) -> tuple[ServiceKey, RequestContext] | None:
    """None where the key is not good."""
    began = perf_counter()
    rows = _BY_KEY.fetch(digest=ServiceKey.digest_of(key), now=timezone.now(), **_about(listener, known))
    if not rows:
        return None
    *columns, pk, prefix, scopes = rows[0]
    return _key(pk, prefix, scopes), RequestContext(listener, known, columns, perf_counter() - began)


def load_context_by_token(user_id: int, sign_in: UUID, known: Revisions) -> tuple[User, RequestContext] | None:
    """A listener asks for themselves only. None where the sign-in has ended."""
    began = perf_counter()
    rows = _BY_TOKEN.fetch(sign_in=sign_in, now=timezone.now(), **_about(user_id, known))
    return (_user(user_id), RequestContext(user_id, known, rows[0], perf_counter() - began)) if rows else None


@lru_cache(maxsize=1024)
def _key(pk: int, prefix: str, scopes: str) -> ServiceKey:
    """Making an instance of a model takes longer than reading its row."""
    return ServiceKey(pk=pk, prefix=prefix, scopes=orjson.loads(scopes))


@lru_cache(maxsize=4096)
def _user(pk: int) -> User:
    return User(pk=pk)


def load_contexts(listeners: Collection[int]) -> dict[int, RequestContext]:
    """Of many at once, by listener; nobody's principal. One query."""
    one = OuterRef("pk")
    columns = (
        listener_settings_subquery(one),
        blocks_subquery(one, timezone.now()),
        catalogue_revision_subquery(),
        history_subquery(listener=one),
    )
    rows = User.objects.filter(pk__in=listeners, is_active=True).values_list("pk", *columns)
    known = {pk: RequestContext(pk, Revisions(), columns) for pk, *columns in rows}
    catalogue = next(iter(known.values())).catalogue if known else catalogue_revision()
    nobody = None, None, catalogue, None
    return {i: known.get(i) or RequestContext(i, Revisions(), nobody) for i in listeners}


def _about(listener: int | None, known: Revisions) -> dict[str, int]:
    about = UNKNOWN if listener is None else listener
    return {"listener": about, "revision": known.listener, "catalogue": known.catalogue}


def _columns(asked_by: "QuerySet[Any, Any]", *others: str) -> "QuerySet[Any, Any]":
    same = User.objects.filter(pk=LISTENER, revision=_REVISION), Catalogue.objects.filter(revision=_CATALOGUE)
    changed = ~Q(Exists(same[0])) | ~Q(Exists(same[1]))
    return asked_by.values_list(
        listener_settings_subquery(),
        blocks_subquery(),
        catalogue_revision_subquery(),
        history_subquery(changed),
        *others,
    )


_BY_KEY = PreparedQuery(lambda: _columns(usable_service_keys(DIGEST, NOW), "pk", "prefix", "scopes"))
_BY_TOKEN = PreparedQuery(lambda: _columns(signed_in_users(LISTENER, SIGN_IN)))
