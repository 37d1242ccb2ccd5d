"""A request for recommendations, and the context it is answered in.

The context is loaded by the same query that recognizes the caller.
"""

from collections.abc import Collection
from dataclasses import dataclass
from datetime import datetime
from functools import cached_property
from time import perf_counter
from typing import Any, NamedTuple
from uuid import UUID

import numpy as np
import orjson
from cachetools.func import ttl_cache
from django.db.models import BigIntegerField, CharField, Exists, OuterRef, Q, QuerySet, Value
from django.utils import timezone
from numpy.typing import NDArray

from access.models import ServiceKey, User
from access.selectors import (
    DIGEST,
    LISTENER,
    NOW,
    SIGN_IN,
    ListenerSettings,
    listener_settings_subquery,
    parse_listener_settings,
    service_key_digest,
    signed_in_users,
    usable_service_keys,
)
from common.prepared_queries import PreparedQuery, QueryParameter
from engine.data.sliders import SliderTracks
from engine.retrieval.candidates import HYBRID
from interactions.selectors import (
    NO_SESSION,
    SESSION_AGE,
    Blocks,
    CurrentSession,
    History,
    blocks_subquery,
    excluded_tracks_subquery,
    history_subquery,
    load_history,
    parse_blocks,
    parse_history,
    parse_session,
    session_subquery,
)
from interactions.taste.sliders import SliderRow, load_track_ids_of_slider, parse_sliders, sliders_subquery
from recommendations.policies.in_use import (
    Policies,
    load_policies_in_use,
    parse_policies_in_use,
    policies_in_use_subquery,
)
from tracks.models import Catalogue
from tracks.selectors import catalogue_revision, catalogue_revision_subquery

UNKNOWN = -1  # no row has this id or revision
SLIDER_SECONDS = 60.0  # the age of a slider's tracks, for changes that do not bump the revision, such as typed SQL


class RecommendationRequest(NamedTuple):
    """What a caller asks for; together with the context it determines the answer.

    Attributes:
        kind: "personal", "similar", "legacy" (popular tracks without a model) or "radio".
        limit: the number of tracks.
        listener_id: the listener it is about.
        track_id: the track that the results of "similar" resemble.
        similarity: in what they resemble it, one of `engine.retrieval.candidates.SIMILARITIES`.
        exclude_played: leave out tracks that the listener knows, or let them compete with new ones by score; None for
            as many of them as `familiarity` says.
        familiarity: the share of tracks that the listener knows, 0 to 1; None for that of the policy.
        diversity: how different the tracks are from each other, 0 to 1; None for that of the policy.
        explain: say why each track was picked.
        placement: where in the app the slate is shown.
        market: the listener's own market if empty.
        explicit: whether explicit tracks are welcome.
        after: the slate that the answer continues.
        radio: the radio whose next tracks are asked for.
        session_id: the current session of the listener, by the name that its events have; empty for their latest plays.
        genre: the genre or other tag to which a personal slate is restricted, by its id or its normalized name.
        device: what the listener listens on, by the `device` of their events; empty if unknown.
        activity: what the tracks are played from or for, by the `context` of their events; empty if unknown.
    """

    kind: str
    limit: int
    listener_id: int | None = None
    track_id: int | None = None
    similarity: str = HYBRID
    exclude_played: bool | None = None
    familiarity: float | None = None
    diversity: float | None = None
    explain: bool = False
    placement: str = ""
    market: str = ""
    explicit: bool = True
    after: UUID | None = None
    radio: UUID | None = None
    session_id: str = ""
    genre: int | str | None = None
    device: str = ""
    activity: str = ""


@dataclass(frozen=True)
class Revisions:
    """The revisions an answer depends on.

    Attributes:
        listener: changes with each interaction, block and setting of the listener.
        catalogue: changes with each write to the catalogue; None while that has never been written.
    """

    listener: int = UNKNOWN
    catalogue: int | None = UNKNOWN


@dataclass(frozen=True)
class RequestContext:
    """What is known about a request before anything is computed.

    Attributes:
        listener_id: the listener the answer is about; None for similar tracks asked by a service key.
        settings: the listener's consent, market and wish for explicit tracks.
        blocks: artists, albums, tracks and genres that the listener blocked, and tracks that they excluded.
        revisions: the current ones.
        history_rows: the listener's history as JSON; left out if the current revisions are the cached ones.
        policies: the policies in use by name.
        sliders: how much more, or less, of some artists and tags the listener wants.
        cached: the revisions for which the process has an answer.
        session: the session of the request; empty without consent.
        query_seconds: how long the query took.
    """

    listener_id: int | None
    settings: ListenerSettings
    blocks: Blocks
    revisions: Revisions
    policies: Policies
    history_rows: str | None = None
    sliders: tuple[SliderRow, ...] = ()
    cached: Revisions = Revisions()
    session: CurrentSession = NO_SESSION
    query_seconds: float = 0.0

    @cached_property
    def history(self) -> History:
        """The interactions of the listener; a second query only if the first one left them out."""
        if self.listener_id is None or not self.settings.exists:
            return History()
        if self.revisions == self.cached:
            return load_history(self.listener_id, self.slider_tracks)
        return parse_history(self.history_rows, self.slider_tracks)

    @cached_property
    def slider_tracks(self) -> tuple[SliderTracks, ...]:
        """The tracks of the sliders; read from the database once per revision of the catalogue."""
        catalogue = self.revisions.catalogue
        return tuple(SliderTracks(_track_ids_of(catalogue, kind, i), value) for kind, i, value in self.sliders)


def load_context_by_key(
    key: str, listener_id: int | None, cached: Revisions, session_id: str = ""
) -> tuple[ServiceKey, RequestContext] | None:
    """Load a service key and the context of its request in one query.

    Args:
        key: the key in clear text.
        listener_id: the listener that the request names, if any.
        cached: the revisions for which the caller has an answer. The history is read only if the current ones differ.
        session_id: the listener's current session; empty for their latest plays.

    Returns:
        None for a key that is unknown, expired or revoked.
    """
    started, now = perf_counter(), timezone.now()
    rows = _BY_KEY.fetch(
        digest=service_key_digest(key),
        now=now,
        listener=UNKNOWN if listener_id is None else listener_id,
        listener_revision=cached.listener,
        catalogue_revision=cached.catalogue,
        session_id=session_id,
        session_since=now - SESSION_AGE,
    )
    if not rows:
        return None
    *columns, pk, prefix, scopes = rows[0]
    context = _parse_context(listener_id, columns, cached, now, session_id, perf_counter() - started)
    return ServiceKey(pk=pk, prefix=prefix, scopes=orjson.loads(scopes)), context


def load_context_by_token(
    user_id: int, sign_in: UUID, cached: Revisions, session_id: str = ""
) -> tuple[User, RequestContext] | None:
    """Load the listener of a token and the context of their request in one query; None if the sign-in has ended."""
    started, now = perf_counter(), timezone.now()
    rows = _BY_TOKEN.fetch(
        sign_in=sign_in,
        now=now,
        listener=user_id,
        listener_revision=cached.listener,
        catalogue_revision=cached.catalogue,
        session_id=session_id,
        session_since=now - SESSION_AGE,
    )
    if not rows:
        return None
    return User(pk=user_id), _parse_context(user_id, rows[0], cached, now, session_id, perf_counter() - started)


def load_contexts(listener_ids: Collection[int], session_id: str = "") -> dict[int, RequestContext]:
    """Load the contexts of many listeners in one query, by listener id; an unknown listener has an empty one.

    Args:
        listener_ids: the listeners.
        session_id: what each of them calls their current session; empty for their latest plays.
    """
    user, now = OuterRef("pk"), timezone.now()
    columns = (
        listener_settings_subquery(user),
        blocks_subquery(user, now),
        excluded_tracks_subquery(user),
        catalogue_revision_subquery(),
        policies_in_use_subquery(),
        history_subquery(listener=user),
        sliders_subquery(user),
        session_subquery(user, Value(session_id, CharField()), now - SESSION_AGE),
    )
    rows = User.objects.filter(pk__in=listener_ids, is_active=True).values_list("pk", *columns)
    contexts = {pk: _parse_context(pk, columns, Revisions(), now, session_id) for pk, *columns in rows}
    known = next(iter(contexts.values()), None)
    revision = known.revisions.catalogue if known else catalogue_revision()
    policies = known.policies if known else load_policies_in_use()
    return {i: contexts.get(i) or _unknown_listener(i, revision, policies) for i in listener_ids}


def _unknown_listener(listener_id: int, catalogue: int | None, policies: Policies) -> RequestContext:
    settings = parse_listener_settings(None)
    return RequestContext(listener_id, settings, frozenset(), Revisions(settings.revision, catalogue), policies)


def _parse_context(
    listener_id: int | None,
    columns: Any,
    cached: Revisions,
    now: datetime,
    session_id: str,
    seconds: float = 0.0,
) -> RequestContext:
    settings_row, block_rows, excluded_rows, catalogue, policies, history_rows, slider_rows, session_rows = columns
    settings = parse_listener_settings(settings_row)
    return RequestContext(
        listener_id,
        settings,
        parse_blocks(block_rows, excluded_rows),
        Revisions(settings.revision, catalogue),
        parse_policies_in_use(policies),
        history_rows,
        parse_sliders(slider_rows),
        cached,
        parse_session(session_rows, now, bool(session_id)) if settings.consent else NO_SESSION,
        seconds,
    )


@ttl_cache(maxsize=1024, ttl=SLIDER_SECONDS)
def _track_ids_of(catalogue_revision: int | None, kind: str, target_id: int) -> NDArray[np.int64]:
    return load_track_ids_of_slider(kind, target_id)


def _context_columns(principals: "QuerySet[Any, Any]", *principal_columns: str) -> "QuerySet[Any, Any]":
    """Select the columns of a context beside those of the principal.

    The history is the expensive column, so PostgreSQL and SQLite skip it while both revisions are the cached ones.
    """
    listener = User.objects.filter(pk=LISTENER, revision=QueryParameter("listener_revision", BigIntegerField()))
    catalogue = Catalogue.objects.filter(revision=QueryParameter("catalogue_revision", BigIntegerField()))
    changed = ~Q(Exists(listener)) | ~Q(Exists(catalogue))
    return principals.values_list(
        listener_settings_subquery(),
        blocks_subquery(),
        excluded_tracks_subquery(),
        catalogue_revision_subquery(),
        policies_in_use_subquery(),
        history_subquery(changed),
        sliders_subquery(),
        session_subquery(),
        *principal_columns,
    )


_BY_KEY = PreparedQuery(lambda: _context_columns(usable_service_keys(DIGEST, NOW), "pk", "prefix", "scopes"))
_BY_TOKEN = PreparedQuery(lambda: _context_columns(signed_in_users(LISTENER, SIGN_IN)))
