"""The tracks that stand for the seeds of a radio, and what its listener made of the tracks that it offered."""

from collections.abc import Collection, Sequence
from datetime import datetime, timedelta
from typing import NamedTuple
from uuid import UUID

import numpy as np
import orjson
from django.db.models import F, OuterRef, QuerySet, Sum, UUIDField
from django.utils import timezone
from numpy.typing import NDArray

from common.prepared_queries import PreparedQuery, QueryParameter, RowsAsJson
from engine.retrieval.station import Seed, Station
from interactions.models import QUALIFIED_MILESTONE, Interaction, InteractionKind
from interactions.selectors import HEARD, OPINIONS, History
from recommendations.models import Radio
from tracks.models import Artist, Track, TrackTag
from tracks.search.selectors import find_artist_by_name

Ids = NDArray[np.int64]
SEED_TRACKS = 200  # that stand for one seed, the most popular ones
TASTE_TRACKS = 200  # of a listener, those that they played most
REACTIONS = 200  # of the listener, the newest ones, among which those to the radio are
LIKES = (InteractionKind.LIKE, InteractionKind.PLAYLIST_ADD, InteractionKind.SHARE)
_RADIO_COLUMNS = ("pk", "user_id", "mode", "drift", "market", "offered")
_RADIO_FLAGS = ("only_seeds", "explicit")
_RADIO_LISTS = ("seeds", "track_ids")


class RadioEvent(NamedTuple):
    """Something that the listener of a radio did since it began."""

    track_id: int
    kind: str
    is_skip: bool
    milestone: int
    is_completed: bool
    context: str


class PlayingRadio(NamedTuple):
    """A radio, and what its listener has done since it began, the newest first."""

    radio: Radio
    events: list[RadioEvent]


def _events_subquery() -> RowsAsJson:
    since = Interaction.objects.filter(user=OuterRef("user_id"), played_at__gte=OuterRef("created_at"), left_out=False)
    return RowsAsJson(since.order_by("-played_at", "-pk").values(*RadioEvent._fields)[:REACTIONS], RadioEvent._fields)


_PLAYING = PreparedQuery(
    lambda: Radio.objects.filter(pk=QueryParameter("radio", UUIDField())).values_list(
        *_RADIO_COLUMNS, *_RADIO_FLAGS, *_RADIO_LISTS, _events_subquery()
    )
)


def find_radio(radio_id: UUID) -> Radio | None:
    return Radio.objects.filter(pk=radio_id).first()


def load_playing_radio(radio_id: UUID) -> PlayingRadio | None:
    """Return a radio with all that its next tracks depend on besides its listener's state, by one query.

    The times of its row are not among that.
    """
    rows = _PLAYING.fetch(radio=radio_id)
    if not rows:
        return None
    *values, events = rows[0]
    fields = dict(zip((*_RADIO_COLUMNS, *_RADIO_FLAGS, *_RADIO_LISTS), values, strict=True))
    # The values are as the driver returns them: SQLite knows neither truth values nor UUIDs, and JSON is text.
    fields |= {name: bool(fields[name]) for name in _RADIO_FLAGS}
    fields |= {name: orjson.loads(fields[name]) for name in _RADIO_LISTS} | {"pk": radio_id}
    return PlayingRadio(Radio(**fields), [RadioEvent(*event) for event in orjson.loads(events or "[]")])


def find_artist(name: str) -> Artist | None:
    """Return the artist with a name, however it is written, or with an MBID."""
    try:
        return Artist.objects.filter(mbid=UUID(name)).first()
    except ValueError:
        return Artist.objects.filter(pk=find_artist_by_name(name) or 0).first()


def tracks_of_artist(artist_id: int) -> list[int]:
    """Return the most popular tracks of an artist."""
    return _most_popular(Track.objects.filter(artist=artist_id))


def tracks_with_tags(groups: Sequence[Collection[int]]) -> list[int]:
    """Return the most popular tracks that have a tag of each group.

    Args:
        groups: ids of tags.
    """
    tracks = Track.objects.all()
    for tag_ids in groups:
        tracks = tracks.filter(pk__in=TrackTag.objects.filter(tag__in=tag_ids).values("track"))
    return _most_popular(tracks)


def _most_popular(tracks: QuerySet[Track]) -> list[int]:
    by_popularity = F("popularity__listeners").desc(nulls_last=True), "pk"
    return list(tracks.order_by(*by_popularity).values_list("pk", flat=True)[:SEED_TRACKS])


def most_played_tracks(user_id: int, time_range: str) -> dict[int, int]:
    """Return how often a listener played their most played tracks of a range of time, by track id."""
    plays = Interaction.objects.filter(HEARD, user=user_id)
    if (begin := _beginning(time_range)) is not None:
        plays = plays.filter(played_at__gte=begin)
    totals = plays.values("track").annotate(total=Sum("plays")).order_by("-total", "track")
    return dict(totals.values_list("track", "total")[:TASTE_TRACKS])


def _beginning(time_range: str) -> datetime | None:
    """Return when a range of time began: so many days ago or, for `this_…`, at its first midnight in UTC."""
    now = timezone.now()
    midnight = now.replace(hour=0, minute=0, second=0, microsecond=0)
    match time_range:
        case "this_week":
            return midnight - timedelta(days=now.weekday())
        case "this_month":
            return midnight.replace(day=1)
        case "this_year":
            return midnight.replace(month=1, day=1)
    days = {"week": 7, "month": 30, "quarter": 91, "half_yearly": 182, "year": 365}.get(time_range)
    return None if days is None else now - timedelta(days=days)


def build_station(playing: PlayingRadio, history: History) -> Station:
    """Return the station of a radio as it is now: its seeds, the listener's taste, and their reactions.

    Args:
        playing: the radio.
        history: of the radio's listener; empty if there is none, or if they have not consented.
    """
    radio = playing.radio
    seeds = tuple(
        _taste(history, seed["weight"])
        if seed["kind"] == "taste"
        else Seed(
            np.array(seed["track_ids"], np.int64),
            seed["weight"],
            np.array(seed["shares"], np.float64) if "shares" in seed else None,
        )
        for seed in radio.seeds
    )
    liked, played, skipped = _find_reactions(playing) if history.interactions else ([], [], [])
    return Station(
        seeds,
        radio.mode,
        radio.drift,
        radio.only_seeds,
        *(np.array(track_ids, np.int64) for track_ids in (liked, played, skipped)),
    )


def _taste(history: History, weight: float) -> Seed:
    """Return the tracks that a listener played most or likes, by the logarithm of their plays."""
    pairs = history.pairs.where(history.pairs.is_positive & ~history.pairs.disliked)
    shares = 1 + np.log1p(pairs.count.astype(np.float64)) + 2 * pairs.liked
    most = np.argsort(-shares, kind="stable")[:TASTE_TRACKS]
    return Seed(pairs.track[most], weight, shares[most])


def _find_reactions(playing: PlayingRadio) -> tuple[list[int], list[int], list[int]]:
    """Return the tracks that the listener liked, played to the end, and skipped or disliked, the newest first.

    Those events count that came after the radio was made, and that either concern a track that it has offered or say
    that it was played from this radio, unless they are left out. Of several opinions of a track the newest counts.
    """
    offered, context = set(playing.radio.track_ids), f"radio:{playing.radio.pk}"
    liked: dict[int, None] = {}  # for their order
    played: dict[int, None] = {}
    skipped: dict[int, None] = {}
    judged: set[int] = set()
    for track_id, kind, is_skip, milestone, is_completed, played_from in playing.events:
        if track_id not in offered and played_from != context:
            continue
        if kind in OPINIONS:
            if track_id in judged:
                continue
            judged.add(track_id)
        if kind in LIKES:
            liked[track_id] = None
        elif is_skip or kind in (InteractionKind.SKIP, InteractionKind.DISLIKE):
            skipped[track_id] = None
        elif kind == InteractionKind.PLAY and (milestone >= QUALIFIED_MILESTONE or is_completed):
            played[track_id] = None
    return [*liked], [*played], [*skipped]
