from collections.abc import Iterator
from dataclasses import dataclass, field

import numpy as np
from django.db.models import BigIntegerField, Case, Count, F, Func, Max, Q, QuerySet, Sum, When
from numpy.typing import NDArray

from engine.plays import Plays
from interactions.models import QUALIFIED_MILESTONE, Interaction, PopularTrack

LIKED = Q(kind=Interaction.Kind.LIKE)
QUALIFIED = Q(milestone__gte=QUALIFIED_MILESTONE) | Q(is_completed=True) | LIKED


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
    """What a listener has played: `track_ids` int64 (k,), distinct, and of each track `qualified` and `liked` bool
    (k,), `count` float32 (k,), plays, and `newest` int64 (k,), UNIX second; `stamp`: (interactions, newest UNIX
    second), equal to that of a bundle which has seen exactly these."""

    track_ids: NDArray[np.int64] = field(default_factory=lambda: np.zeros(0, np.int64))
    qualified: NDArray[np.bool_] = field(default_factory=lambda: np.zeros(0, np.bool_))
    liked: NDArray[np.bool_] = field(default_factory=lambda: np.zeros(0, np.bool_))
    count: NDArray[np.float32] = field(default_factory=lambda: np.zeros(0, np.float32))
    newest: NDArray[np.int64] = field(default_factory=lambda: np.zeros(0, np.int64))
    stamp: tuple[int, int] = (0, 0)

    @property
    def interactions(self) -> int:
        return self.stamp[0]


def history(user_id: int) -> History:
    """One query, whatever the number of plays; as many rows as different tracks. An unknown listener's is empty."""
    rows = list(
        Interaction.objects.filter(user=user_id)
        .values_list("track_id")
        .annotate(
            n=Count("pk"),
            qualified=Count("pk", filter=QUALIFIED),
            liked=Count("pk", filter=LIKED),
            count=Sum("plays"),
            newest=Max(UnixSeconds("played_at")),
        )
        .order_by("track_id")
    )
    if not rows:
        return History()
    table = np.array(rows, np.int64)
    track_ids, interactions, qualified, liked, count, newest = table.T
    stamp = int(interactions.sum()), int(newest.max())
    return History(track_ids, qualified > 0, liked > 0, count.astype(np.float32), newest, stamp)


def play_chunks(rows: int = 50_000) -> Iterator[Plays]:
    """All interactions in the order they came, as columns, `rows` at a time: memory for a chunk, not for the table."""
    qualified, liked = (Case(When(which, then=1), default=0) for which in (QUALIFIED, LIKED))
    cells = (
        Interaction.objects.order_by("pk")
        .values_list("user_id", "track_id", "plays", qualified, UnixSeconds("played_at"), liked)
        .iterator(chunk_size=rows)
    )
    while len(chunk := np.array([row for _, row in zip(range(rows), cells, strict=False)], np.int64)):
        yield Plays(
            chunk[:, 0].copy(),
            chunk[:, 1].copy(),
            chunk[:, 2].astype(np.float32),
            chunk[:, 3].astype(np.bool_),
            chunk[:, 4].copy(),
            chunk[:, 5].astype(np.bool_),
        )


def count_interactions() -> int:
    return Interaction.objects.count()


def popular_tracks() -> dict[int, float]:
    """Listeners of the most popular tracks, by track id."""
    return dict(PopularTrack.objects.values_list("pk", "listeners"))


def most_listened(limit: int) -> QuerySet[Interaction, tuple[int, int]]:
    """`(track_id, listeners)` of the most listened-to tracks, from all interactions."""
    by_listeners = Interaction.objects.values_list("track_id").annotate(n=Count("user", distinct=True))
    return by_listeners.order_by(F("n").desc(), "track_id")[:limit]
