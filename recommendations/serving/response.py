"""Render a slate as the JSON document that is sent."""

import time
from collections.abc import Mapping
from hashlib import blake2b
from typing import Any

import orjson
from django.conf import settings
from django.utils import timezone

from experiments.exposures.log import SlateRecord
from experiments.exposures.recommendation_ids import new_recommendation_id
from recommendations.serving.continuation import EarlierTracks, describe_request
from recommendations.serving.explanations import explain_picks
from recommendations.serving.model_cache import LoadedModel
from recommendations.serving.request_context import RecommendationRequest, RequestContext
from recommendations.serving.response_cache import CachedResponse
from recommendations.serving.slate import RankedSlate


def describe_slate(slate: RankedSlate, model: LoadedModel) -> dict[str, Any]:
    """Return the members of an answer that say how its slate came about."""
    return {
        "strategy": slate.ranking.strategy,
        "model_version": model.bundle.version,
        "degraded": model.problem is not None,
        "fallback_reason": slate.fallback_reason,
        "policy": slate.policy,
        "relaxed": slate.ranking.relaxed,
    }


def render_results(slate: RankedSlate, name: str, reasons: Mapping[int, Any], first_position: int = 1) -> bytes:
    """Render the results of a slate as the elements of a JSON array.

    Args:
        name: of the member that holds the reasons of a result.
        reasons: by track id; without any, results have no such member.
    """
    return b",".join(
        b'%s,"score":%r,"position":%d,"source":"%s"%s}'
        % (
            slate.cards[pick.track_id].json,
            pick.score,
            position,
            pick.source.encode(),
            b',"%s":%s' % (name.encode(), orjson.dumps(reasons[pick.track_id])) if reasons else b"",
        )
        for position, pick in enumerate(slate.ranking.picks, first_position)
    )


def render(
    request: RecommendationRequest,
    context: RequestContext,
    model: LoadedModel,
    slate: RankedSlate,
    dependencies: tuple[Any, ...],
    earlier: EarlierTracks,
) -> CachedResponse:
    """Render the answer.

    Track cards are JSON already, so the document is joined from bytes. The ETag covers everything but the id, the time
    and the path of the next page, which contains the id: the same tracks by the same version for the same reason are
    the same slate to a client that has it.
    """
    picks, strategy, version = slate.ranking.picks, slate.ranking.strategy, model.bundle.version
    explanations: dict[int, Any] = {}
    if request.explain:
        explanations = explain_picks(model.bundle, slate.query, slate.ranking, slate.cards, context.revisions.catalogue)
    results = render_results(slate, "explanation", explanations, len(earlier.pages) + 1)
    envelope = describe_slate(slate, model)
    etag = blake2b(orjson.dumps(envelope) + results, digest_size=12).hexdigest()
    recommendation_id, now, consent = new_recommendation_id(), timezone.now(), context.settings.consent
    next_page = None
    if request.radio is not None:
        next_page = f"/radio/{request.radio}/next?limit={request.limit}" if len(picks) == request.limit else None
    elif len(picks) == request.limit and settings.MUSICREC["SLATE_BUFFER"]:  # with 0 no slate is stored
        # The slate of a listener without consent is stored without them, so the path has to name them.
        next_page = f"/recommendations/{recommendation_id}/next" + (
            "" if consent else f"?user_id={context.listener_id}"
        )
    head = orjson.dumps(
        {"recommendation_id": recommendation_id, "generated_at": now} | envelope | {"next": next_page},
        option=orjson.OPT_UTC_Z,
    )
    # A session or a playlist would tell whose slate it is, and means nothing without consent.
    stored = request if consent else request._replace(session_id="", device="", activity="")
    record = SlateRecord(
        recommendation_id,
        user_id=context.listener_id if context.settings.exists and consent else None,
        strategy=strategy,
        model_version=version or "",
        placement=request.placement,
        track_ids=[pick.track_id for pick in picks],
        shown_at=now,
        policy=slate.policy,
        # A radio goes on by itself: none of its slates is continued as a page.
        request=None if request.radio else describe_request(stored, slate.ranking, earlier.shelves),
        previous=request.after,
        is_counted=consent,
    )
    return CachedResponse(
        dependencies=dependencies,
        revisions=context.revisions,
        etag=f'W/"{etag}"',
        strategy=strategy,
        body=head[:-1] + b',"results":[' + results + b"]}",
        expires_at=min(time.time() + settings.MUSICREC["RESULTS_SECONDS"], context.session.until),
        slates=[record],
        delivered=False,
    )
