"""Similar tracks and similar artists with their distances, for the API and for players that ask AudioMuse-AI.

They are computed by the functions that answer `/recommend/similar`, so that the same filters apply. No slate is logged.
"""

from collections import defaultdict
from collections.abc import Collection, Iterable
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
import orjson
from django.db.models import F

from engine.bundle.model_bundle import ModelBundle
from engine.pipeline import Pick
from recommendations.serving.filters import build_filters
from recommendations.serving.model_cache import model_cache
from recommendations.serving.paths import NEAREST, SIMILAR_SOURCES
from recommendations.serving.request_context import RecommendationRequest, RequestContext
from recommendations.serving.slate import NO_TRACKS, build_slate, listener_state, plan_slate
from tracks.card_cache import TrackCard, track_card_cache
from tracks.match_keys import make_match_key
from tracks.models import Artist, Track

MAX_TRACKS_OF_ARTIST = 3  # in a list without duplicates, as in AudioMuse-AI
MAX_CONTENT_SCORE = 3  # the same artist, the same album, and all tags
SEED_TRACKS = 5  # of an artist, by which similar ones are found
NEIGHBOURS_OF_SEED = 200
SONGS_OF_ARTIST = 5


class Neighbour(NamedTuple):
    """A track, and its distance to the one that was asked about: from 0, the nearest, to 1, not known to be similar."""

    card: TrackCard
    track_id: int
    title: str
    artist: str
    artist_id: int
    album_id: int | None
    external_id: str | None
    distance: float
    source: str


def find_similar_tracks(
    track_id: int,
    count: int,
    context: RequestContext,
    without_duplicates: bool = False,
    market: str = "",
    explicit: bool = True,
) -> list[Neighbour]:
    """Return the tracks nearest to a track, the nearest first; popular ones at the end if there are too few.

    Args:
        without_duplicates: leave out further tracks with the same names, and all but three of each artist.

    Raises:
        UnknownTrack: there is no such track.
    """
    limit = count * (MAX_TRACKS_OF_ARTIST + 1) if without_duplicates else count
    request = RecommendationRequest("similar", limit, context.listener_id, track_id, market=market, explicit=explicit)
    model = model_cache.current()
    slate = build_slate(plan_slate(request, context, model, NEAREST))
    picks = slate.ranking.picks
    # Sources follow one another, and the first track of one may be nearer than the last of the one before.
    distances = np.maximum.accumulate(_distances(model.bundle, track_id, picks)).tolist() if picks else []
    neighbours = [
        make_neighbour(slate.cards[pick.track_id], distance, pick.source)
        for pick, distance in zip(picks, distances, strict=True)
    ]
    if without_duplicates:
        card = track_card_cache.get_cards([track_id], context.revisions.catalogue)[track_id]
        neighbours = _without_duplicates(make_neighbour(card, 0.0, "similar"), neighbours)
    return neighbours[:count]


def _distances(bundle: ModelBundle, track_id: int, picks: Collection[Pick]) -> list[float]:
    """Return the distance of each pick.

    It is 1 - cosine of the vectors. In a version without factors it is 1 - half of the item-item weight in proportion
    to the best one. For tracks that are alike in artist, album and tags it is 1 - a third of their score.
    """
    row = bundle.items.row(track_id)
    is_cosine = row is not None and (bundle.item_norms[row] > 0 or bundle.popularity[row] == 0)
    best_weight = max((pick.score for pick in picks if pick.source == "similar"), default=1.0)
    distances = []
    for pick in picks:
        nearness = 0.0
        if pick.source == "similar":
            nearness = pick.score if is_cosine else pick.score / best_weight / 2
        elif pick.source == "content":
            nearness = pick.score / MAX_CONTENT_SCORE
        distances.append(min(max(1 - nearness, 0.0), 1.0))
    return distances


def make_neighbour(card: TrackCard, distance: float = 0.0, source: str = "similar") -> Neighbour:
    fields = orjson.loads(card.json + b"}")
    return Neighbour(
        card,
        fields["track_id"],
        fields["title"],
        fields["artist_name"],
        fields["artist_id"],
        fields["album_id"],
        fields["external_id"],
        distance,
        source,
    )


def _without_duplicates(track: Neighbour, neighbours: Iterable[Neighbour]) -> list[Neighbour]:
    """Leave out tracks with the names of `track` or of an earlier one, and all but three of each artist."""
    distinct: list[Neighbour] = []
    seen = {make_match_key(track.artist, track.title)}
    tracks_of_artist: dict[int, int] = defaultdict(int)
    for neighbour in neighbours:
        key = make_match_key(neighbour.artist, neighbour.title)
        if key not in seen and tracks_of_artist[neighbour.artist_id] < MAX_TRACKS_OF_ARTIST:
            distinct.append(neighbour)
            seen.add(key)
            tracks_of_artist[neighbour.artist_id] += 1
    return distinct


@dataclass(frozen=True)
class SimilarArtist:
    """An artist whose tracks are near to those of another.

    Attributes:
        distance: the mean over the tracks of the other artist of the distance to the nearest track of this one.
        songs: the tracks of this artist that are the nearest, at most five.
        songs_of_other: the most popular tracks of the other artist that may be offered, at most five.
    """

    artist_id: int
    name: str
    external_id: str | None
    distance: float
    songs: list[Neighbour]
    songs_of_other: list[Neighbour]


def find_similar_artists(
    artist_id: int, count: int, context: RequestContext, market: str = "", explicit: bool = True
) -> list[SimilarArtist]:
    """Return the artists whose tracks are the nearest to the most popular tracks of an artist, the nearest first."""
    by_popularity = F("popularity__listeners").desc(nulls_last=True), "pk"
    tracks = Track.objects.filter(artist=artist_id, taken_down_at=None).order_by(*by_popularity)
    seeds = list(tracks.values_list("pk", flat=True)[:SEED_TRACKS])
    nearest: dict[int, dict[int, float]] = defaultdict(dict)  # by artist and seed
    songs: dict[int, dict[int, Neighbour]] = defaultdict(dict)  # by artist and track
    for seed in seeds:
        for neighbour in find_similar_tracks(seed, NEIGHBOURS_OF_SEED, context, market=market, explicit=explicit):
            artist, track = neighbour.artist_id, neighbour.track_id
            if artist == artist_id or neighbour.source not in SIMILAR_SOURCES or neighbour.distance >= 1:
                continue
            nearest[artist].setdefault(seed, neighbour.distance)
            if track not in songs[artist] or neighbour.distance < songs[artist][track].distance:
                songs[artist][track] = neighbour
    distances = {
        artist: sum(by_seed.get(seed, 1.0) for seed in seeds) / len(seeds) for artist, by_seed in nearest.items()
    }
    artists = Artist.objects.in_bulk(sorted(distances, key=lambda artist: (distances[artist], artist))[:count])
    songs_of_other = _offered_tracks(seeds, context)
    similar = [
        SimilarArtist(
            pk,
            artist.name,
            artist.external_id,
            distances[pk],
            sorted(songs[pk].values(), key=lambda song: song.distance)[:SONGS_OF_ARTIST],
            songs_of_other,
        )
        for pk, artist in artists.items()
    ]
    return sorted(similar, key=lambda artist: (artist.distance, artist.artist_id))


def _offered_tracks(track_ids: list[int], context: RequestContext) -> list[Neighbour]:
    """Return those of some tracks that the listener may be offered."""
    filters = build_filters(RecommendationRequest("similar", 1, context.listener_id), context, NO_TRACKS)
    left_out = set(listener_state(context, filters).never_offered.tolist())
    cards = filters.available([track_id for track_id in track_ids if track_id not in left_out])
    return [make_neighbour(cards[track_id], 0.0, "similar") for track_id in track_ids if track_id in cards]
