"""Answer with the mixes of a day, or with a home screen of them."""

import time
from collections.abc import Callable, Sequence
from datetime import UTC, date, datetime, timedelta
from hashlib import blake2b
from typing import Any, NamedTuple

import orjson
from django.conf import settings
from django.utils import timezone

from engine.pipeline import Ranking
from engine.retrieval.candidates import Query
from experiments.exposures.log import SlateRecord
from experiments.exposures.recommendation_ids import new_recommendation_id, stable_recommendation_id
from recommendations import metrics
from recommendations.mixes.screens import ShownShelf, order_for_home, order_for_mixes, show
from recommendations.mixes.shelves import Shelf
from recommendations.mixes.storage import shelves_of_the_day
from recommendations.serving.explanations import explain_picks
from recommendations.serving.model_cache import LoadedModel
from recommendations.serving.recommend import Recommendation, assign_policy, dependencies_of, model_for
from recommendations.serving.request_context import RecommendationRequest, RequestContext
from recommendations.serving.response import render_results
from recommendations.serving.response_cache import CachedResponse, response_cache
from recommendations.serving.slate import RankedSlate, plan_slate

ORDERS: dict[str, Callable[[Sequence[Shelf]], list[Shelf]]] = {"home": order_for_home, "mixes": order_for_mixes}


class ScreenRequest(NamedTuple):
    """What a caller asks for.

    Attributes:
        screen: one of `ORDERS`.
        options: of the kind "personal"; its limit is the number of tracks of each shelf.
        shelves: the largest number of shelves; None for all.
    """

    screen: str
    options: RecommendationRequest
    shelves: int | None = None


def answer_screen(request: ScreenRequest, context: RequestContext, client_etags: str = "") -> Recommendation:
    """Answer with the shelves of a screen, from a cache if nothing has changed that they depend on.

    Args:
        client_etags: the ETags of answers that the client has, and goes on showing.
    """
    model = model_for(request.options, context)
    today = timezone.now().date()
    dependencies = (today, *dependencies_of(request.options, model, assign_policy(request.options, context), context))

    def compute() -> CachedResponse:
        market = request.options.market or context.settings.market
        shelves = ORDERS[request.screen](shelves_of_the_day(context, model, market, today))
        shown = show(shelves, request.options, context, model, request.shelves)
        return _render(request, context, model, shown, today, dependencies)

    response, origin = response_cache.get_or_compute(request, dependencies, context.revisions, compute)
    metrics.answers.labels(response.strategy, str(model.problem is not None).lower()).inc()
    if response.etag not in client_etags:
        response_cache.deliver(request, response)
    return Recommendation(response, cached=origin != "miss")


def _render(
    request: ScreenRequest,
    context: RequestContext,
    model: LoadedModel,
    shown: Sequence[ShownShelf],
    day: date,
    dependencies: tuple[Any, ...],
) -> CachedResponse:
    """Render the shelves. Each is a slate of its own, whose id is the same wherever the same tracks are shown."""
    options, consent = request.options, context.settings.consent
    listener_id = context.listener_id if context.settings.exists and consent else None
    expires_at = datetime.combine(day + timedelta(days=1), datetime.min.time(), UTC)
    reasons: dict[int, Any] = {}
    if options.explain and shown:
        plan = plan_slate(options, context, model, assign_policy(options, context))
        picks = Ranking([pick for shelf in shown for pick in shelf.ranking.picks])
        cards = {track_id: card for shelf in shown for track_id, card in shelf.cards.items()}
        reasons = explain_picks(model.bundle, plan.query, picks, cards, context.revisions.catalogue)
    records, bodies, digest = [], [], blake2b(digest_size=12)
    for shelf, title, description, ranking, cards in shown:
        track_ids = [pick.track_id for pick in ranking.picks]
        if listener_id is None:  # an id from which the listener could be guessed is none for those without consent
            recommendation_id = new_recommendation_id()
        else:
            parts = (listener_id, request.screen, shelf.shelf_id, track_ids)
            recommendation_id = stable_recommendation_id(shelf.generated_at, *parts)
        head = {
            "id": shelf.shelf_id,
            "kind": shelf.kind,
            "title": title,
            "description": description,
            "is_personal": shelf.is_personal,
            "artist_id": shelf.artist.id if shelf.artist else None,
            "tag_id": shelf.tag.id if shelf.tag else None,
            "strategy": ranking.strategy,
            "generated_at": shelf.generated_at,
            "expires_at": expires_at,
        }
        results = render_results(
            RankedSlate(ranking, cards, None, Query(request.options.limit), shelf.kind), "explanation", reasons
        )
        digest.update(orjson.dumps(head) + results)
        head = {"recommendation_id": recommendation_id} | head
        bodies.append(orjson.dumps(head, option=orjson.OPT_UTC_Z)[:-1] + b',"results":[' + results + b"]}")
        records.append(
            SlateRecord(
                recommendation_id,
                user_id=listener_id,
                strategy=ranking.strategy,
                model_version=shelf.model_version,
                placement=f"{request.screen}.{shelf.shelf_id}",
                track_ids=track_ids,
                shown_at=timezone.now(),
                policy=shelf.kind,
                is_counted=consent,
            )
        )
    reason = None if any(shelf.shelf.is_personal for shelf in shown) else "cold_user"
    envelope = {
        "model_version": model.bundle.version,
        "degraded": model.problem is not None,
        "fallback_reason": model.problem or (reason if consent else "no_consent"),
        "expires_at": expires_at,
    }
    digest.update(orjson.dumps(envelope))
    strategies = {shelf.ranking.strategy for shelf in shown}
    return CachedResponse(
        dependencies=dependencies,
        revisions=context.revisions,
        etag=f'W/"{digest.hexdigest()}"',
        strategy=strategies.pop() if len(strategies) == 1 else "mixed",
        body=orjson.dumps(envelope, option=orjson.OPT_UTC_Z)[:-1] + b',"shelves":[' + b",".join(bodies) + b"]}",
        expires_at=min(time.time() + settings.MUSICREC["RESULTS_SECONDS"], expires_at.timestamp()),
        slates=records,
        delivered=False,
    )
