"""Paths between tracks, with the distances that players expect."""

from dataclasses import dataclass

from recommendations.discovery.similarity import Neighbour, make_neighbour
from recommendations.serving.paths import find_card_path
from recommendations.serving.request_context import RequestContext


@dataclass(frozen=True)
class SongPath:
    """Tracks that lead from one to another, with both, and the sum of the distances between neighbours."""

    tracks: list[Neighbour]
    total_distance: float


def find_song_path(start: int, end: int, length: int, context: RequestContext) -> SongPath:
    """Return a path of at most `length` tracks between two tracks that exist; see `find_card_path`.

    Where the version in service has no factors of an end, each step counts as 1.
    """
    path = find_card_path(start, end, length, context)
    total_distance = float(len(path.cards) - 1) if path.distances is None else sum(path.distances)
    return SongPath([make_neighbour(card) for card in path.cards.values()], total_distance)
