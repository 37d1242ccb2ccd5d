"""From a ranking to the JSON that goes out: one pass over bytes that are JSON already."""

import time
import uuid
from dataclasses import dataclass
from datetime import datetime
from hashlib import blake2b
from typing import Any

import orjson
from django.conf import settings
from django.utils import timezone

from engine.pipeline import Pick, Ranking
from experiments.exposures.log import SlateRecord
from recommendations.serving.explanations import explanations
from recommendations.serving.model_cache import LoadedModel
from recommendations.serving.request_context import RequestContext, Revisions
from recommendations.serving.response_cache import CachedResponse
from recommendations.serving.slate import Placards


@dataclass(frozen=True)
class Slate:
    """What is to be said. reason: why it is not what was asked for, if so · explained_by: tracks that speak for the
    picks, int64 (k,); None where nothing is to be explained."""

    loaded: LoadedModel
    ranking: Ranking
    found: Placards
    reason: str | None
    explained_by: Any
    placement: str
    asked: RequestContext


def kept(slate: Slate, made_of: tuple[Any, ...], state: Revisions) -> CachedResponse:
    """The answer. The same tracks by the same version for the same reason have the same ETag, for they are the same
    slate to a caller who has it."""
    lasting = {
        "strategy": slate.ranking.strategy,
        "model_version": slate.loaded.bundle.version,
        "degraded": slate.loaded.problem is not None,
        "fallback_reason": slate.reason,
    }
    listed = _results(slate)
    etag = blake2b(orjson.dumps(lasting) + listed, digest_size=12).hexdigest()
    recommendation_id, now = uuid.uuid4(), timezone.now()
    head = orjson.dumps(
        {"recommendation_id": recommendation_id, "generated_at": now} | lasting, option=orjson.OPT_UTC_Z
    )
    return CachedResponse(
        made_of=made_of,
        state=state,
        etag=f'W/"{etag}"',
        strategy=slate.ranking.strategy,
        body=head[:-1] + b',"results":[' + listed + b"]}",
        until=time.time() + settings.MUSICREC["RESULTS_SECONDS"],
        fresh=True,
        shown=_shown(slate, recommendation_id, now),
    )


def _results(slate: Slate) -> bytes:
    picks = slate.ranking.picks
    ends = [b"}"] * len(picks)
    if slate.explained_by is not None:
        asked = slate.asked.catalogue
        reasons = explanations(slate.loaded.bundle, slate.ranking, slate.explained_by, asked)
        ends = [b',"explanation":' + orjson.dumps(reasons[pick.track_id]) + b"}" for pick in picks]
    return b",".join(
        slate.found[pick.track_id].json + _place(pick, position) + end
        for position, (pick, end) in enumerate(zip(picks, ends, strict=True), 1)
    )


def _place(pick: Pick, position: int) -> bytes:
    return b',"score":%r,"position":%d,"source":"%s"' % (pick.score, position, pick.source.encode())


def _shown(slate: Slate, recommendation_id: uuid.UUID, now: datetime) -> SlateRecord | None:
    """None where nothing is to be kept."""
    standing = slate.asked.standing
    if not standing.consent:
        return None
    known = slate.asked.listener if standing.known else None
    ids = [pick.track_id for pick in slate.ranking.picks]
    version = slate.loaded.bundle.version or ""
    return SlateRecord(recommendation_id, known, slate.ranking.strategy, version, slate.placement, ids, now)
