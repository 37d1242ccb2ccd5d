"""Answer a request for recommendations: context → policy → cache → candidates → filters → ranking → response → log."""

import time
from typing import Any, NamedTuple

from django.conf import settings

from engine.data.confidence import HOUR_SECONDS
from engine.pipeline import Policy, Ranking
from recommendations import metrics
from recommendations.serving.continuation import NO_EARLIER_TRACKS, EarlierTracks
from recommendations.serving.model_cache import LoadedModel, model_cache
from recommendations.serving.precomputed import load_ranking
from recommendations.serving.request_context import RecommendationRequest, RequestContext
from recommendations.serving.response import render
from recommendations.serving.response_cache import CachedResponse, response_cache
from recommendations.serving.slate import build_slate, plan_slate


class Recommendation(NamedTuple):
    """An answer, and whether it came from a cache."""

    response: CachedResponse
    cached: bool


def recommend(
    request: RecommendationRequest,
    context: RequestContext,
    client_etags: str = "",
    ranking: Ranking | None = None,
    earlier: EarlierTracks = NO_EARLIER_TRACKS,
) -> Recommendation:
    """Answer a request.

    Args:
        client_etags: the ETags of answers that the client has. It goes on showing such an answer under the id it came
            with, so none is logged.
        ranking: the engine's ranking, where the caller has computed it already, so that Redis need not be asked.
        earlier: what the pages before this one have shown.

    Raises:
        UnknownTrack: for tracks similar to one that does not exist.
        UnknownGenre: for the tracks of a genre that does not exist.
    """
    model = model_for(request, context)
    policy = assign_policy(request, context)
    dependencies = dependencies_of(request, model, policy, context)

    def compute() -> CachedResponse:
        plan = plan_slate(request, context, model, policy, exclude=earlier.all, before=earlier.pages)
        slate = build_slate(plan, ranking or load_ranking(request, dependencies))
        return render(request, context, model, slate, dependencies, earlier)

    response, origin = response_cache.get_or_compute(
        request, dependencies, context.revisions, compute, is_shared=ranking is None
    )
    metrics.answers.labels(response.strategy, str(model.problem is not None).lower()).inc()
    if response.etag not in client_etags:
        response_cache.deliver(request, response)
    return Recommendation(response, cached=origin != "miss")


def model_for(request: RecommendationRequest, context: RequestContext) -> LoadedModel:
    """Return the version in service; for the legacy endpoint the catalogue and its popularity, without any model."""
    model_cache.notice_revision(context.revisions.catalogue)
    return model_cache.popularity_model() if request.kind == "legacy" else model_cache.current()


def assign_policy(request: RecommendationRequest, context: RequestContext) -> Policy:
    """Choose the policy of a request. Reads no history, so that a cached answer needs none."""
    if request.kind == "similar":
        return context.policies["similar"]
    return context.policies["personal" if request.kind == "personal" and context.settings.consent else "popular"]


def dependencies_of(
    request: RecommendationRequest, model: LoadedModel, policy: Policy, context: RequestContext
) -> tuple[Any, ...]:
    """Return everything besides the request that determines an answer; the interactions by the listener's revision.

    All policies are named, because the listener's history decides which one takes the place of `policy`.
    """
    return (
        model.bundle.version,
        model.problem,
        model.digest,
        policy.label,
        tuple(in_use.label for in_use in context.policies.values()),
        model_cache.popularity_digest,
        context.settings,
        tuple(sorted(context.blocks)),
        context.session.track_ids if policy.name == "personal" else (),  # no other kind counts it
        context.revisions.catalogue,
        settings.MUSICREC["COLD_BELOW"],
        _listening_context(request, model, context),
    )


def _listening_context(
    request: RecommendationRequest, model: LoadedModel, context: RequestContext
) -> tuple[int, str, str] | None:
    """Return the hour, the device and the activity that an answer depends on; None while no policy counts them."""
    learnt = model.bundle.context
    if learnt is None or not any(policy.dials.context for policy in context.policies.values()):
        return None
    hour = int(time.time() // HOUR_SECONDS) if learnt.depends_on_time else 0
    return hour, request.device, request.activity
