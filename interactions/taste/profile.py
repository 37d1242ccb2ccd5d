"""Read the taste profile of a listener: what their recommendations rest on, as they can see and edit it.

Plays are added up by track in the database, and by artist, tag and decade in arrays: joining each play of a long
history with its tags takes ten times as long.
"""

from dataclasses import dataclass
from itertools import pairwise
from typing import Any, NamedTuple

import numpy as np
from django.db.models import Count, QuerySet, Sum
from django.db.models.functions import Mod
from numpy.typing import NDArray

from common.database_columns import NULL, UnixSeconds, read_columns
from interactions.models import Exclusion, Interaction, SliderKind
from interactions.selectors import HEARD
from interactions.taste.selectors import PlayTotals, load_exclusions, load_play_totals, release_year
from interactions.taste.sliders import SliderRow, load_sliders
from tracks.models import Artist, Tag, Track, TrackTag

SHOWN_TRACKS = 3  # of each artist and tag
_HOUR = Mod(UnixSeconds("played_at") / 3600, 24)
Integers = NDArray[np.int64]


class TasteTrack(NamedTuple):
    """A track that an artist or tag has its share from, and how often the listener played it."""

    track_id: int
    title: str
    plays: int


class TasteShare(NamedTuple):
    """An artist, tag, decade or hour in a taste profile.

    Attributes:
        key: its id, the first year of the decade, or the hour of the day in UTC.
        share: of all plays of the listener, 0 to 1.
        tracks: the most played ones of an artist or tag.
        slider: of an artist or tag; 0 for none.
    """

    key: int
    name: str
    plays: int
    share: float
    tracks: list[TasteTrack]
    slider: float = 0.0


class TasteProfile(NamedTuple):
    """What is known of a listener's taste, without what is left out.

    Artists and tags have the most played first; eras and hours are in the order of time.
    """

    totals: PlayTotals
    artists: list[TasteShare]
    tags: list[TasteShare]
    eras: list[TasteShare]
    hours: list[TasteShare]
    exclusions: list[Exclusion]
    sliders: list[SliderRow]


@dataclass(frozen=True)
class _Group:
    """The plays with one key, and the tracks most played among them: ids and their plays."""

    key: int
    plays: int
    tracks: list[tuple[int, int]]


def load_taste_profile(user_id: int, limit: int) -> TasteProfile:
    """Return the profile of a listener, with up to `limit` artists and as many tags."""
    totals, heard = load_play_totals(user_id), Interaction.objects.filter(HEARD, user=user_id).order_by()
    track_ids, plays = _to_columns(heard.values_list("track_id").annotate(n=Sum("plays")).order_by("track_id"))
    own = heard.values("track_id")
    rows = Track.objects.filter(pk__in=own).order_by()
    track, artist, year = read_columns(rows, [("pk", int), ("artist_id", int), (release_year(), int)])
    of_track = _look_up(track, track_ids, plays)
    tagged, tag = read_columns(TrackTag.objects.filter(track__in=own).order_by(), [("track_id", int), ("tag_id", int)])
    artists = _group(artist, track, of_track)[:limit]
    tags = _group(tag, tagged, _look_up(tagged, track_ids, plays))[:limit]
    eras = _group(year[year != NULL] // 10 * 10, track[year != NULL], of_track[year != NULL])
    hour, events = _to_columns(heard.filter(plays=1).annotate(hour=_HOUR).values_list("hour").annotate(n=Count("*")))

    artist_names = dict(Artist.objects.filter(pk__in=[group.key for group in artists]).values_list("pk", "name"))
    tag_names = dict(Tag.objects.filter(pk__in=[group.key for group in tags]).values_list("pk", "name"))
    shown = {track_id for group in (*artists, *tags) for track_id, _ in group.tracks}
    titles = dict(Track.objects.filter(pk__in=shown).values_list("pk", "title"))

    sliders = load_sliders(user_id)
    values = {(slider.kind, slider.target_id): slider.value for slider in sliders}

    def make_share(group: _Group, name: str | None, kind: str = "") -> TasteShare:
        tracks = [TasteTrack(i, titles[i], n) for i, n in group.tracks if i in titles]
        share = round(group.plays / max(totals.plays, 1), 4)
        return TasteShare(group.key, name or "", group.plays, share, tracks, values.get((kind, group.key), 0.0))

    return TasteProfile(
        totals,
        [make_share(group, artist_names.get(group.key), SliderKind.ARTIST) for group in artists],
        [make_share(group, tag_names.get(group.key), SliderKind.TAG) for group in tags],
        [
            make_share(_Group(group.key, group.plays, []), f"{group.key}s")
            for group in sorted(eras, key=lambda group: group.key)
        ],
        [
            make_share(_Group(h, n, []), f"{h:02}:00")
            for h, n in sorted(zip(hour.tolist(), events.tolist(), strict=True))
        ],
        load_exclusions(user_id),
        sliders,
    )


def _to_columns(rows: "QuerySet[Any, Any]") -> tuple[Integers, Integers]:
    table = np.array(list(rows), np.int64).reshape(-1, 2)
    return table[:, 0], table[:, 1]


def _look_up(ids: Integers, track_ids: Integers, plays: Integers) -> Integers:
    """Return the plays of tracks by id; 0 for a track that was played for the first time after the plays were read."""
    if not len(track_ids):
        return np.zeros(len(ids), np.int64)
    position = np.minimum(np.searchsorted(track_ids, ids), len(track_ids) - 1)
    return np.where(track_ids[position] == ids, plays[position], 0)


def _group(keys: Integers, track_ids: Integers, plays: Integers) -> list[_Group]:
    """Add up plays by key, the most played first.

    Args:
        keys, track_ids, plays: of each pair of a track and, say, one of its tags, int64 (n,).
    """
    groups, number = np.unique(keys, return_inverse=True)
    totals = np.bincount(number, plays, minlength=len(groups)).astype(np.int64)
    order = np.lexsort((track_ids, -plays, number))
    ends = np.searchsorted(number[order], np.arange(len(groups) + 1))
    most = [order[begin : min(begin + SHOWN_TRACKS, end)] for begin, end in pairwise(ends.tolist())]
    return [
        _Group(
            int(groups[g]), int(totals[g]), list(zip(track_ids[most[g]].tolist(), plays[most[g]].tolist(), strict=True))
        )
        for g in np.lexsort((groups, -totals)).tolist()
    ]
