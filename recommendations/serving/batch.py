"""Answers for many listeners at once, and many shelves of one listener's screen."""

from collections.abc import Mapping, Sequence
from typing import NamedTuple

import numpy as np

from engine.retrieval.candidates import HYBRID
from experiments.exposures.log import slate_log
from recommendations import metrics
from recommendations.serving.continuation import EarlierTracks
from recommendations.serving.recommend import Recommendation, assign_policy, dependencies_of, model_for, recommend
from recommendations.serving.request_context import RecommendationRequest, RequestContext
from recommendations.serving.response import render
from recommendations.serving.response_cache import CachedResponse, response_cache
from recommendations.serving.slate import NO_TRACKS, build_slate, plan_slate, rank
from tracks.card_cache import track_card_cache


class ShelfRequest(NamedTuple):
    """One row of a screen.

    Attributes:
        name: comes back with the answer.
        kind: "personal", "similar" or "legacy".
        limit: the number of tracks.
        track_id: the track that a "similar" shelf resembles.
        similarity: in what they resemble it, one of `engine.retrieval.candidates.SIMILARITIES`.
    """

    name: str
    kind: str
    limit: int
    track_id: int | None = None
    similarity: str = HYBRID


def recommend_to_listeners(
    requests: Sequence[RecommendationRequest], contexts: Mapping[int, RequestContext]
) -> list[Recommendation]:
    """Answer personal requests of many listeners, each as it would be answered alone.

    All rankings are computed first, so that one query reads the cards of all their tracks.

    Args:
        contexts: by listener id.
    """
    rankings = {}
    for request in requests:
        context = contexts[request.listener_id or 0]
        model = model_for(request, context)
        policy = assign_policy(request, context)
        if response_cache.get_local(request, dependencies_of(request, model, policy, context)) is None:
            plan = plan_slate(request, context, model, policy)
            rankings[request] = rank(model.bundle, plan.query, plan.policy)
    if rankings:
        track_ids = {pick.track_id for ranking in rankings.values() for pick in ranking.picks}
        track_card_cache.get_cards(track_ids, context.revisions.catalogue)
    return [recommend(r, contexts[r.listener_id or 0], ranking=rankings.get(r)) for r in requests]


def recommend_shelves(
    options: RecommendationRequest, context: RequestContext, shelves: Sequence[ShelfRequest]
) -> list[CachedResponse]:
    """Answer the shelves in order; no track is on two of them, the first one has it.

    What a shelf shows depends on those before it, so the answers are not cached.

    Args:
        options: what the shelves have in common.

    Raises:
        UnknownTrack: for a shelf of tracks similar to one that does not exist.
    """
    shown, responses = NO_TRACKS, []
    for shelf in shelves:
        request = options._replace(
            kind=shelf.kind, limit=shelf.limit, track_id=shelf.track_id, similarity=shelf.similarity
        )
        if shelf.kind != "personal":  # as the endpoints of the other kinds
            request = request._replace(familiarity=None, diversity=None, session_id="", device="", activity="")
        model = model_for(request, context)
        policy = assign_policy(request, context)
        slate = build_slate(plan_slate(request, context, model, policy, exclude=shown))
        response = render(request, context, model, slate, (), EarlierTracks(shelves=shown))
        shown = np.append(shown, [pick.track_id for pick in slate.ranking.picks]).astype(np.int64)
        metrics.answers.labels(response.strategy, str(model.problem is not None).lower()).inc()
        for record in response.slates:
            slate_log.add(record)
        responses.append(response)
    return responses
