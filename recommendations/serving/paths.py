"""A path between two tracks, for the API and for players that ask AudioMuse-AI."""

from dataclasses import dataclass, replace

import numpy as np

from engine.pipeline import NO_CAPS, SIMILAR, Dials
from engine.retrieval.path import find_path
from recommendations.serving.filters import build_filters
from recommendations.serving.model_cache import LoadedModel, model_cache
from recommendations.serving.request_context import RecommendationRequest, RequestContext
from recommendations.serving.slate import NO_TRACKS, UnknownTrack, build_slate, listener_state, plan_slate
from tracks.card_cache import TrackCard, track_card_cache

NEAREST = replace(SIMILAR, dials=Dials(), caps=NO_CAPS)  # the nearest tracks, by whatever artist
SIMILAR_SOURCES = ("similar", "content")  # other sources fill a list up with tracks that are not similar


@dataclass(frozen=True)
class CardPath:
    """Tracks that lead from one to another.

    Attributes:
        cards: by track id, in the order of the path, with both ends.
        distances: from each track to the next, 1 - cosine of their factors; None where the version in service has no
            factors of an end.
        model: that found the path.
    """

    cards: dict[int, TrackCard]
    distances: list[float] | None
    model: LoadedModel


def find_card_path(
    start: int, end: int, length: int, context: RequestContext, market: str = "", explicit: bool = True
) -> CardPath:
    """Return a path of at most `length` tracks between two different tracks.

    It follows the arc between their factors. If the version has none of one of them, it leads through tracks similar to
    the start and then through tracks similar to the end. What the listener may not be offered is not between the ends.

    Raises:
        UnknownTrack: one of the ends does not exist.
    """
    request = RecommendationRequest("similar", length, context.listener_id, market=market, explicit=explicit)
    ends = track_card_cache.get_cards([start, end], context.revisions.catalogue)
    if unknown := {start, end} - ends.keys():
        raise UnknownTrack(unknown.pop())
    filters = build_filters(request, context, NO_TRACKS)
    forbidden = listener_state(context, filters).never_offered
    model_cache.notice_revision(context.revisions.catalogue)
    model = model_cache.current()
    gone = forbidden
    while True:
        path = find_path(model.bundle, start, end, length, gone, filters.unavailable)
        if path is None:
            between = _similar_to_both(request, start, end, length - 2, context, model)
            cards = filters.available(between)
            track_ids = [start, *(track_id for track_id in between if track_id in cards), end]
            return CardPath({track_id: (cards | ends)[track_id] for track_id in track_ids}, None, model)
        track_ids = [int(track_id) for track_id in path.track_ids]
        cards = filters.available(track_ids[1:-1]) | ends
        missing = [track_id for track_id in track_ids if track_id not in cards]
        if not missing:  # else they were deleted or taken down since this process read its lists
            return CardPath({track_id: cards[track_id] for track_id in track_ids}, path.distances.tolist(), model)
        gone = np.append(gone, missing)


def _similar_to_both(
    request: RecommendationRequest, start: int, end: int, count: int, context: RequestContext, model: LoadedModel
) -> list[int]:
    """Return tracks similar to the start, the nearest first, and then tracks similar to the end, the nearest last."""
    if count < 1:
        return []
    taken = {start, end}
    halves: list[list[int]] = []
    for track_id, size in ((start, (count + 1) // 2), (end, count // 2)):
        similar_request = request._replace(limit=count + 2, track_id=track_id)
        picks = build_slate(plan_slate(similar_request, context, model, NEAREST)).ranking.picks
        similar = [p.track_id for p in picks if p.source in SIMILAR_SOURCES and p.track_id not in taken]
        halves.append(similar[:size])
        taken.update(similar[:size])
    return [*halves[0], *reversed(halves[1])]
