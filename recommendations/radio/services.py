"""Start a radio, take its next tracks, and delete it."""

import time
from dataclasses import dataclass, replace
from typing import NamedTuple

import numpy as np
from django.utils import timezone
from numpy.typing import NDArray
from rest_framework.exceptions import APIException

from engine.bundle.model_bundle import ModelBundle
from engine.pipeline import Pick
from engine.retrieval.candidates import Query
from interactions.selectors import History
from recommendations import metrics
from recommendations.models import Radio
from recommendations.radio.seeds import StoredSeed
from recommendations.radio.selectors import PlayingRadio, build_station, load_playing_radio
from recommendations.serving.continuation import NO_EARLIER_TRACKS
from recommendations.serving.filters import build_filters
from recommendations.serving.model_cache import LoadedModel
from recommendations.serving.recommend import model_for
from recommendations.serving.request_context import RecommendationRequest, RequestContext
from recommendations.serving.response import render
from recommendations.serving.response_cache import CachedResponse, response_cache
from recommendations.serving.slate import RankedSlate, SlatePlan, build_slate, listener_state
from tracks.recordings import load_recordings

MAX_ATTEMPTS = 20  # to take tracks that no other request for the same radio takes; of two, one succeeds each time
EXHAUSTED = "exhausted"


class UnknownRadio(Exception):
    """There is no such radio, or no longer."""


class RadioIsBusy(APIException):
    """Too many requests take tracks of the same radio at once."""

    status_code = 503
    default_detail = "other requests take tracks of this radio at the moment; ask again"
    wait = 1  # DRF sends it as Retry-After


class RadioOptions(NamedTuple):
    """How a radio is to play, whatever it is made from."""

    mode: str
    drift: float
    market: str = ""
    explicit: bool = True
    only_seeds: bool = False


def start_radio(listener_id: int | None, prompt: str, seeds: list[StoredSeed], options: RadioOptions) -> Radio:
    """Store a radio, and return it. It plays nothing before it is asked."""
    return Radio.objects.create(user_id=listener_id, prompt=prompt, seeds=seeds, **options._asdict())


def delete_radio(radio: Radio) -> None:
    Radio.objects.filter(pk=radio.pk).delete()


def play_next(playing: PlayingRadio, request: RecommendationRequest, context: RequestContext) -> CachedResponse:
    """Answer with the next tracks of a radio, and note that it has offered them.

    Two requests at once never get the same track: tracks are taken by an update on the condition that the radio has
    offered nothing since it was read. The request that comes second reads it again.

    Args:
        playing: the radio.
        request: of the kind "radio".
        context: of the radio's listener.

    Raises:
        UnknownRadio: it was deleted meanwhile.
        RadioIsBusy: others were quicker each time.
    """
    model = model_for(request, context)
    current: PlayingRadio | None = playing
    for _ in range(MAX_ATTEMPTS):
        if current is None:
            raise UnknownRadio
        slate = _RadioSlate(current, request, context, model).build()
        if _take(current.radio, [pick.track_id for pick in slate.ranking.picks]):
            break
        current = load_playing_radio(playing.radio.pk)
    else:
        raise RadioIsBusy
    response = render(request, context, model, slate, (), NO_EARLIER_TRACKS)
    metrics.answers.labels(response.strategy, str(model.problem is not None).lower()).inc()
    response_cache.deliver(request, response)
    return response


def _take(radio: Radio, track_ids: list[int]) -> bool:
    """Note that a radio has offered tracks, unless it has offered others since it was read; return whether it did."""
    unchanged = Radio.objects.filter(pk=radio.pk, offered=radio.offered)
    offered = [*radio.track_ids, *track_ids]
    return bool(unchanged.update(track_ids=offered, offered=len(offered), used_at=timezone.now()))


@dataclass(frozen=True)
class _RadioSlate:
    """The next tracks of a radio, as it was read."""

    playing: PlayingRadio
    request: RecommendationRequest
    context: RequestContext
    model: LoadedModel

    def build(self) -> RankedSlate:
        """Rank the next tracks: fewer than asked for only if the catalogue has no more, and then the answer says so."""
        offered = np.array(self.playing.radio.track_ids, np.int64)
        plan = self._plan(offered)
        while True:
            slate = build_slate(plan)
            repeats = self._repeated_recordings(slate.ranking.picks, offered)
            if not len(repeats):
                break
            plan = replace(plan, query=replace(plan.query, gone=np.append(plan.query.gone, repeats)))
        if len(slate.ranking.picks) < self.request.limit:
            slate = replace(slate, fallback_reason=EXHAUSTED)
        return slate

    def _plan(self, offered: NDArray[np.int64]) -> SlatePlan:
        filters = build_filters(self.request, self.context, offered)
        history = self.context.history
        query = Query(
            self.request.limit,
            seed=self.playing.radio.pk.int % 2**63,
            forbidden=listener_state(self.context, filters).never_offered,
            unavailable=filters.unavailable,
            before=offered,
            station=build_station(self.playing, history if self.context.settings.consent else History()),
            now=int(time.time()),
        )
        # Whatever the policy says, a radio repeats no track, and with `only_seeds` it offers no others.
        policy = replace(self.context.policies["radio"], may_repeat=False)
        if self.playing.radio.only_seeds:
            policy = replace(policy, fill=())
        return SlatePlan(self.model, policy, query, filters, None)

    def _repeated_recordings(self, picks: list[Pick], offered: NDArray[np.int64]) -> NDArray[np.int64]:
        """Return the picks that are the same recording as a track before them.

        The engine offers such tracks only when nothing else is left, and where it does not know a track.
        """
        picked = np.array([pick.track_id for pick in picks], np.int64)
        if not len(picked) or _are_distinct(self.model.bundle, picked, offered):
            return picked[:0]
        recordings = load_recordings(np.concatenate([offered, picked]))
        _, first = np.unique(recordings, return_index=True)
        is_repeat = ~np.isin(np.arange(len(recordings)), first)[len(offered) :]
        return picked[is_repeat]


def _are_distinct(bundle: ModelBundle, picked: NDArray[np.int64], offered: NDArray[np.int64]) -> bool:
    """Return whether a version knows that tracks are different recordings, from each other and from those before."""
    rows, is_known = bundle.items.rows(np.concatenate([offered, picked]))
    if not is_known.all():
        return False
    recordings = bundle.features.recording[rows]
    return len(np.unique(recordings)) == len(recordings)
