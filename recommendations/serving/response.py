"""Render a slate as the JSON document that is sent."""

import time
import uuid
from hashlib import blake2b
from typing import Any

import orjson
from django.conf import settings
from django.utils import timezone

from experiments.exposures.log import SlateRecord
from recommendations.serving.explanations import explain_picks
from recommendations.serving.model_cache import LoadedModel
from recommendations.serving.request_context import RecommendationRequest, RequestContext
from recommendations.serving.response_cache import CachedResponse
from recommendations.serving.slate import RankedSlate


def render(
    request: RecommendationRequest,
    context: RequestContext,
    model: LoadedModel,
    slate: RankedSlate,
    dependencies: tuple[Any, ...],
) -> CachedResponse:
    """Render the answer.

    Track cards are JSON already, so the document is joined from bytes. The ETag covers everything but the id and the
    time: the same tracks by the same version for the same reason are the same slate to a client that has it.
    """
    picks, strategy, version = slate.ranking.picks, slate.ranking.strategy, model.bundle.version
    explanations = explain_picks(model.bundle, slate, context.revisions.catalogue) if request.explain else {}
    results = b",".join(
        b'%s,"score":%r,"position":%d,"source":"%s"%s}'
        % (
            slate.cards[pick.track_id].json,
            pick.score,
            position,
            pick.source.encode(),
            b',"explanation":' + orjson.dumps(explanations[pick.track_id]) if request.explain else b"",
        )
        for position, pick in enumerate(picks, 1)
    )
    envelope = {
        "strategy": strategy,
        "model_version": version,
        "degraded": model.problem is not None,
        "fallback_reason": slate.fallback_reason,
    }
    etag = blake2b(orjson.dumps(envelope) + results, digest_size=12).hexdigest()
    recommendation_id, now = uuid.uuid4(), timezone.now()
    head = orjson.dumps(
        {"recommendation_id": recommendation_id, "generated_at": now} | envelope, option=orjson.OPT_UTC_Z
    )
    record = None
    if context.settings.consent:
        listener_id = context.listener_id if context.settings.exists else None
        track_ids = [pick.track_id for pick in picks]
        record = SlateRecord(recommendation_id, listener_id, strategy, version or "", request.placement, track_ids, now)
    return CachedResponse(
        dependencies=dependencies,
        revisions=context.revisions,
        etag=f'W/"{etag}"',
        strategy=strategy,
        body=head[:-1] + b',"results":[' + results + b"]}",
        expires_at=time.time() + settings.MUSICREC["RESULTS_SECONDS"],
        slate=record,
        delivered=False,
    )
