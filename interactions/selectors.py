from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

import numpy as np
import orjson
from django.db.models import (
    BigIntegerField,
    Case,
    Count,
    Exists,
    F,
    Func,
    IntegerField,
    Max,
    OuterRef,
    Q,
    QuerySet,
    Sum,
    Value,
    When,
)
from numpy.typing import NDArray

from access.models import User
from access.selectors import LISTENER, NOW
from common.prepared_queries import PreparedQuery, RowsAsJson
from engine.data.plays import Plays, Signal
from engine.data.user_item_pairs import UserItemPairs
from interactions.events.event_types import EventType
from interactions.models import QUALIFIED_MILESTONE, Block, Interaction, PopularTrack

Kind = Interaction.Kind
QUALIFIED = Q(milestone__gte=QUALIFIED_MILESTONE) | Q(is_completed=True)
SIGNAL_BY_KIND = {type.kind: type.signal for type in EventType if type.signal is not None}
OPINIONS = [Kind.LIKE, Kind.UNLIKE, Kind.DISLIKE, Kind.UNDISLIKE]
CONSENTING = Q(is_active=True, consent=True)  # of listeners: not who is being erased, or has not agreed
BY_CONSENTING_LISTENER = Q(user__is_active=True, user__consent=True)  # the same, of what they did


class UnixSeconds(Func):
    """A date as whole UNIX seconds, computed where the date is stored."""

    template = "FLOOR(EXTRACT(EPOCH FROM %(expressions)s))::bigint"
    output_field = BigIntegerField()

    def as_sqlite(self, compiler, connection, **context):  # type: ignore[no-untyped-def]
        # Four per cent signs: one pair is taken by the template, the other by the parameters.
        template = "CAST(strftime('%%%%s', %(expressions)s) AS INTEGER)"
        return self.as_sql(compiler, connection, template=template, **context)


@dataclass(frozen=True)
class History:
    """What a listener has done until now. pairs: one a track, `track` holding track ids · stamp: (interactions, newest
    UNIX second), equal to that of a bundle which has seen exactly these."""

    pairs: UserItemPairs = field(default_factory=UserItemPairs.empty)
    stamp: tuple[int, int] = (0, 0)

    @property
    def interactions(self) -> int:
        return self.stamp[0]

    @property
    def known_tracks(self) -> NDArray[np.int64]:
        """Ids of the tracks that are no news to them: int64 (k,)."""
        return self.pairs.track[self.pairs.is_positive | self.pairs.is_negative]

    @property
    def positive_tracks(self) -> NDArray[np.int64]:
        return self.pairs.track[self.pairs.is_positive]

    @property
    def disliked_tracks(self) -> NDArray[np.int64]:
        return self.pairs.track[self.pairs.disliked]


Blocks = frozenset[tuple[str, int]]
"""(kind, id) of what a listener does not want to be offered now."""
_COLUMNS = ("track_id", "signal", "n", "count", "good", "newest")


def blocks_subquery(listener: Any = LISTENER, now: Any = NOW) -> RowsAsJson:
    """The blocks of a listener that are in force, to be read by `blocks_in`."""
    in_force = Block.objects.filter(Q(until=None) | Q(until__gt=now), user=listener)
    return RowsAsJson(in_force.values("kind", "target_id"), ("kind", "target_id"))


def parse_blocks(column: str | None) -> Blocks:
    return frozenset((kind, target) for kind, target in orjson.loads(column or "[]"))


def history_subquery(when: Q | None = None, listener: Any = LISTENER) -> RowsAsJson:
    """The history of a listener, to be read by `history_in`; not looked up unless `when` holds. As many rows as
    different tracks and signals, whatever the number of plays. Only columns that `interaction_of_listener` has."""
    rows = (
        Interaction.objects.filter(when or Q(), user=listener)
        .values("track_id", signal=signal_expression())
        .annotate(
            n=Count("*"),
            count=Sum("plays"),
            good=Count("plays", filter=QUALIFIED),
            newest=Max(UnixSeconds("played_at")),
        )
        .alias(last=Max("played_at"))
        .order_by("track_id", "last")  # of the same second, the later one counts
    )
    return RowsAsJson(rows.values(*_COLUMNS), _COLUMNS)


def parse_history(column: str | None) -> History:
    rows = orjson.loads(column or "[]")
    if not rows:
        return History()
    track, signal, interactions, count, good, seconds = np.array([*zip(*rows, strict=True)], np.int64)
    plays = Plays(
        np.zeros(len(track), np.int64), track, count.astype(np.float32), good > 0, seconds, signal.astype(np.int8)
    )
    return History(UserItemPairs.from_listener(plays), (int(interactions.sum()), int(seconds.max())))


_HISTORY_STATEMENT = PreparedQuery(lambda: User.objects.filter(pk=LISTENER).values_list(history_subquery()))


def load_history(user_id: int) -> History:
    """One query. An unknown listener's is empty."""
    found = _HISTORY_STATEMENT.fetch(listener=user_id)
    return parse_history(found[0][0]) if found else History()


def signal_expression() -> Case:
    """What a row says: a `Signal`."""
    said = [When(kind=kind, then=Value(int(signal))) for kind, signal in SIGNAL_BY_KIND.items() if kind != Kind.PLAY]
    skipped = When(is_skip=True, then=Value(int(Signal.SKIP)))
    played = When(kind=Kind.PLAY, then=Value(int(Signal.PLAY)))  # most are, and need no look at the others
    return Case(skipped, played, *said, default=Value(int(Signal.PLAY)), output_field=IntegerField())


def current_opinion(user_id: int, track_id: int) -> str | None:
    """What a listener said last of a track: like, unlike, dislike or undislike."""
    said = Interaction.objects.filter(user=user_id, track=track_id, kind__in=OPINIONS)
    return said.order_by("-played_at", "-pk").values_list("kind", flat=True).first()


def last_opinion_at(user_id: int, track_id: int) -> datetime | None:
    said = Interaction.objects.filter(user=user_id, track=track_id, kind__in=OPINIONS)
    return said.order_by("-played_at").values_list("played_at", flat=True).first()


def current_opinions(user_id: int) -> dict[int, str]:
    """The same of every track that something was said of, the newest first."""
    said = Interaction.objects.filter(user=user_id, kind__in=OPINIONS).order_by("-played_at", "-pk")
    last: dict[int, str] = {}
    for track_id, kind in said.values_list("track_id", "kind"):
        last.setdefault(track_id, kind)
    return last


def recently_active_listeners(since: datetime, after: int, count: int) -> list[int]:
    """The first `count` ids above `after`, ascending, of those who agree and did anything since."""
    lately = Interaction.objects.filter(user=OuterRef("pk"), played_at__gte=since)
    there = User.objects.filter(CONSENTING, Exists(lately), pk__gt=after)
    return list(there.order_by("pk").values_list("pk", flat=True)[:count])


def count_interactions() -> int:
    return Interaction.objects.filter(BY_CONSENTING_LISTENER).count()


def load_popular_tracks() -> dict[int, float]:
    """Listeners of the most popular tracks, by track id."""
    return dict(PopularTrack.objects.values_list("pk", "listeners"))


def most_listened(limit: int) -> QuerySet[Interaction, tuple[int, int]]:
    """`(track_id, listeners)` of the most listened-to tracks, by who wants them."""
    kinds = [Kind.PLAY, Kind.LIKE, Kind.SHARE, Kind.PLAYLIST_ADD]
    wanted = Interaction.objects.filter(BY_CONSENTING_LISTENER, kind__in=kinds, is_skip=False)
    by_listeners = wanted.values_list("track_id").annotate(n=Count("user", distinct=True))
    return by_listeners.order_by(F("n").desc(), "track_id")[:limit]
