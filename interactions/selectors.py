from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from math import inf
from typing import Any, NamedTuple

import numpy as np
import orjson
from django.db.models import (
    Case,
    CharField,
    Count,
    DateTimeField,
    Exists,
    IntegerField,
    Max,
    Min,
    OuterRef,
    Q,
    Sum,
    Value,
    When,
)
from django.db.models.lookups import Exact
from django.utils import timezone

from access.models import User
from access.selectors import LISTENER, NOW
from common.database_columns import UnixSeconds
from common.prepared_queries import PreparedQuery, QueryParameter, RowsAsJson
from engine.data.plays import Plays, Signal, checksum_rows
from engine.data.sessions import CURRENT_PLAYS, SESSION_GAP_SECONDS, current_session
from engine.data.sliders import SliderTracks, slider_weights
from engine.data.user_item_pairs import UserItemPairs
from interactions.events.event_types import EventType
from interactions.models import (
    QUALIFIED_MILESTONE,
    Block,
    BlockKind,
    Exclusion,
    ExclusionKind,
    Interaction,
    PopularTrack,
)

Kind = Interaction.Kind
QUALIFIED = Q(milestone__gte=QUALIFIED_MILESTONE) | Q(is_completed=True)
# Plays that were not skipped, and of which recommenders may learn.
HEARD = Q(kind=Kind.PLAY, is_skip=False, left_out=False)
SIGNAL_BY_KIND = {type.kind: type.signal for type in EventType if type.signal is not None}
OPINIONS = [Kind.LIKE, Kind.UNLIKE, Kind.DISLIKE, Kind.UNDISLIKE]
SESSION_AGE = timedelta(hours=12)  # plays before that are not of the current session
SESSION_ID = QueryParameter("session_id", CharField())
SESSION_SINCE = QueryParameter("session_since", DateTimeField())
IDS_PER_QUERY = 10_000  # SQLite accepts 32,766 parameters
# A listener whose erasure is pending is no longer active.
CONSENTING = Q(is_active=True, consent=True)  # filters listeners
BY_CONSENTING_LISTENER = Q(user__is_active=True, user__consent=True)  # filters what they did


@dataclass(frozen=True)
class History:
    """The interactions of a listener until now, aggregated by track.

    Attributes:
        pairs: one pair for each track; `pairs.track` holds track ids.
        interactions: their number.
        newest: UNIX second of the latest.
        checksum: of the rows, see `engine.data.plays.checksum_rows`. It, the number and `newest` equal the listener's
            stamp in a model version if that version was trained on exactly these interactions.
    """

    pairs: UserItemPairs = field(default_factory=UserItemPairs.empty)
    interactions: int = 0
    newest: int = 0
    checksum: int = 0


Blocks = frozenset[tuple[str, int]]
"""The (kind, id) pairs that a listener has blocked at the moment, and the tracks that they have excluded."""
_IS_TRACK = Q(kind=ExclusionKind.TRACK)
_HISTORY_COLUMNS = ("track_id", "signal", "row_count", "play_count", "qualified_count", "oldest", "newest")


def blocks_subquery(listener: Any = LISTENER, now: Any = NOW) -> RowsAsJson:
    """Return a subquery for the blocks of a listener that are in force, as (kind, id) pairs."""
    in_force = Block.objects.filter(Q(until=None) | Q(until__gt=now), user=listener)
    return RowsAsJson(in_force.values("kind", "target_id"), ("kind", "target_id"))


def excluded_tracks_subquery(listener: Any = LISTENER) -> RowsAsJson:
    """Return a subquery for the tracks that a listener has excluded, for `parse_blocks`."""
    return RowsAsJson(Exclusion.objects.filter(_IS_TRACK, user=listener).values("track_id"), ("track_id",))


def parse_blocks(blocks: str | None, excluded_tracks: str | None) -> Blocks:
    """Parse the values of `blocks_subquery` and `excluded_tracks_subquery`.

    A track that must not count would seem new to the listener, so it is not offered either.
    """
    in_force = {(kind, target_id) for kind, target_id in orjson.loads(blocks or "[]")}
    excluded = {(BlockKind.TRACK.value, track_id) for (track_id,) in orjson.loads(excluded_tracks or "[]")}
    return frozenset(in_force | excluded)


def blocks_in_force() -> Iterator[tuple[int, str, int]]:
    """Yield the listener, the kind and the target of every block that is in force, and of every excluded track."""
    in_force = Block.objects.filter(Q(until=None) | Q(until__gt=timezone.now()))
    yield from in_force.values_list("user_id", "kind", "target_id").iterator()
    for user_id, track_id in Exclusion.objects.filter(_IS_TRACK).values_list("user_id", "track_id").iterator():
        yield user_id, BlockKind.TRACK.value, track_id


def history_subquery(when: Q | None = None, listener: Any = LISTENER) -> RowsAsJson:
    """Return a subquery for the history of a listener, to be parsed by `parse_history`.

    It has a row for each track and signal, however many plays there are, without interactions that are left out, and
    uses only columns of the index `interaction_of_listener`, so that the table itself is not read.

    Args:
        when: a condition without which the interactions are not read and the history is empty.
    """
    rows = (
        Interaction.objects.filter(when or Q(), user=listener, left_out=False)
        .values("track_id", signal=signal_expression())
        .annotate(
            row_count=Count("*"),
            play_count=Sum("plays"),
            qualified_count=Count("plays", filter=QUALIFIED),
            oldest=Min(UnixSeconds("played_at")),
            newest=Max(UnixSeconds("played_at")),
        )
        .alias(last=Max("played_at"))
        .order_by("track_id", "last")  # of two signals of the same second, the later one counts
    )
    return RowsAsJson(rows.values(*_HISTORY_COLUMNS), _HISTORY_COLUMNS)


def parse_history(column: str | None, sliders: Sequence[SliderTracks] = ()) -> History:
    """Parse the value of `history_subquery`, with the weights that the listener's sliders give to it."""
    rows = orjson.loads(column or "[]")
    if not rows:
        return History()
    columns = np.array([*zip(*rows, strict=True)], np.int64)
    track, signal, row_count, play_count, qualified_count, oldest, newest = columns
    plays = Plays(
        user=np.zeros(len(track), np.int64),
        track=track,
        count=play_count.astype(np.float32),
        qualified=qualified_count > 0,
        time=newest,
        signal=signal.astype(np.int8),
    )
    if sliders:
        plays = replace(plays, weight=slider_weights(sliders, track))
    checksum = (checksum_rows(plays) * row_count.view(np.uint64)).sum().view(np.int64)
    return History(UserItemPairs.from_listener(plays, oldest), int(row_count.sum()), int(newest.max()), int(checksum))


def session_subquery(listener: Any = LISTENER, session_id: Any = SESSION_ID, since: Any = SESSION_SINCE) -> RowsAsJson:
    """Return a subquery for the plays that may be of a listener's current session, to be parsed by `parse_session`.

    Skips, totals and plays that are left out are not among them.

    Args:
        listener: the listener.
        session_id: the session by the name that its events have; empty for the plays of all names.
        since: plays before this time are not of the current session, whatever their name: `SESSION_AGE` ago.
    """
    is_unnamed = Exact(session_id, Value(""))
    plays = Interaction.objects.filter(HEARD, Q(session_id=session_id) | Q(is_unnamed), user=listener, plays=1)
    rows = plays.filter(played_at__gt=since).order_by("-played_at", "-pk").annotate(at=UnixSeconds("played_at"))
    return RowsAsJson(rows.values("track_id", "at", "shuffled")[:CURRENT_PLAYS], ("track_id", "at", "shuffled"))


@dataclass(frozen=True)
class CurrentSession:
    """What a listener is playing.

    Attributes:
        track_ids: the tracks that they have played, oldest first.
        until: UNIX second from which on it is another session, or none, if the listener plays nothing more.
    """

    track_ids: tuple[int, ...] = ()
    until: float = inf


NO_SESSION = CurrentSession()


def parse_session(column: str | None, now: datetime, is_named: bool) -> CurrentSession:
    """Parse the value of `session_subquery`.

    Args:
        column: the value.
        now: the time of the request.
        is_named: whether it is of a session that was named: the app says where that begins and ends. Otherwise
            `current_session` cuts the plays. Shuffled plays do not count in either.
    """
    rows = orjson.loads(column or "[]")
    if is_named:
        rows = [(track_id, at) for track_id, at, is_shuffled in rows if not is_shuffled]
        track_ids = [track_id for track_id, _ in reversed(rows)]
        until = rows[-1][1] + SESSION_AGE.total_seconds() if rows else inf
    else:
        track_ids = current_session(rows, int(now.timestamp()))
        until = rows[0][1] + SESSION_GAP_SECONDS + 1 if track_ids else inf
    return CurrentSession(tuple(track_ids), until)


_HISTORY_QUERY = PreparedQuery(lambda: User.objects.filter(pk=LISTENER).values_list(history_subquery()))


def load_history(user_id: int, sliders: Sequence[SliderTracks] = ()) -> History:
    """Return the history of a listener, by one query; the history of an unknown listener is empty."""
    rows = _HISTORY_QUERY.fetch(listener=user_id)
    return parse_history(rows[0][0], sliders) if rows else History()


def signal_expression() -> Case:
    """Return an expression for the `Signal` of an interaction."""
    skipped = When(is_skip=True, then=Value(int(Signal.SKIP)))
    # Most rows are plays, so they come early: later branches cost a comparison for each kind before them.
    played = When(kind=Kind.PLAY, then=Value(int(Signal.PLAY)))
    others = [When(kind=kind, then=Value(int(signal))) for kind, signal in SIGNAL_BY_KIND.items() if kind != Kind.PLAY]
    return Case(skipped, played, *others, default=Value(int(Signal.PLAY)), output_field=IntegerField())


class Opinion(NamedTuple):
    """The latest like, unlike, dislike or undislike of a track."""

    kind: str
    played_at: datetime


def latest_opinion(user_id: int, track_id: int) -> Opinion | None:
    opinions = Interaction.objects.filter(user=user_id, track=track_id, kind__in=OPINIONS)
    row = opinions.order_by("-played_at", "-pk").values_list("kind", "played_at").first()
    return Opinion(*row) if row else None


def current_opinions(user_id: int) -> dict[int, str]:
    """Return the kind of the latest opinion by track id, the latest first."""
    opinions = Interaction.objects.filter(user=user_id, kind__in=OPINIONS).order_by("-played_at", "-pk")
    kinds: dict[int, str] = {}
    for track_id, kind in opinions.values_list("track_id", "kind"):
        kinds.setdefault(track_id, kind)
    return kinds


def recently_active_listeners(since: datetime, after: int, count: int) -> list[int]:
    """Return the ids of consenting listeners with an interaction since a time, in ascending order.

    Args:
        after: only ids greater than this one.
        count: the largest number of ids.
    """
    interactions = Interaction.objects.filter(user=OuterRef("pk"), played_at__gte=since)
    listeners = User.objects.filter(CONSENTING, Exists(interactions), pk__gt=after)
    return list(listeners.order_by("pk").values_list("pk", flat=True)[:count])


def count_interactions() -> int:
    """Return the number of interactions that recommenders may learn from."""
    return Interaction.objects.filter(BY_CONSENTING_LISTENER, left_out=False).count()


def latest_interaction_id() -> int:
    """Return the id of the interaction that was stored last; 0 without any."""
    return Interaction.objects.order_by("-pk").values_list("pk", flat=True).first() or 0


def consenting_listeners(user_ids: Collection[int]) -> set[int]:
    """Return those of some listeners who exist, are active, and agree that their interactions are learned from."""
    ids = sorted(user_ids)
    batches = [ids[start : start + IDS_PER_QUERY] for start in range(0, len(ids), IDS_PER_QUERY)]
    return {
        pk for batch in batches for pk in User.objects.filter(CONSENTING, pk__in=batch).values_list("pk", flat=True)
    }


def count_listeners_of_tracks(track_ids: Collection[int]) -> dict[int, int]:
    """Return the number of listeners of those of some tracks that are among the most popular, by track id."""
    return dict(PopularTrack.objects.filter(pk__in=track_ids).values_list("pk", "listeners"))


def load_popular_tracks() -> dict[int, float]:
    """Return the number of listeners of the most popular tracks, by track id."""
    return dict(PopularTrack.objects.values_list("pk", "listeners"))
