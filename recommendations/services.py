"""Answer what to hear next."""

import uuid
from dataclasses import dataclass
from typing import Any

import numpy as np
from django.conf import settings
from django.utils import timezone
from numpy.typing import NDArray

from engine.bundle import ModelBundle
from engine.ids import INT64_MAX
from engine.serving.candidates import Query
from engine.serving.pipeline import EARLY, PERSONAL, POPULAR, SIMILAR, Policy, Ranking
from experiments.slates import Shown, slate_log
from interactions.selectors import History, Standing, history, standing
from recommendations import metrics
from recommendations.explanations import explanations
from recommendations.filters import filters_for
from recommendations.model_cache import Loaded, cache
from recommendations.pages import Cards, filled, page
from tracks.selectors import track_exists


@dataclass(frozen=True)
class Answer:
    """body: JSON-ready · shown: the slate to be kept, None where nothing is to be."""

    body: dict[str, Any]
    shown: Shown | None = None


class UnknownTrack(Exception):
    """The catalogue has no such track."""


@dataclass(frozen=True)
class Request:
    """How an answer is wanted. placement: where in the app · market: "" for that of the listener · explicit: whether
    tracks marked so are welcome."""

    limit: int
    exclude_played: bool = True
    explain: bool = False
    placement: str = ""
    market: str = ""
    explicit: bool = True


@dataclass(frozen=True)
class Listener:
    """Who is asking. What somebody did who has not agreed to be recommended by it is not looked at, beyond what they
    dislike."""

    user_id: int
    standing: Standing
    past: History

    @classmethod
    def of(cls, user_id: int) -> "Listener":
        there = standing(user_id) if user_id <= INT64_MAX else Standing()
        return cls(user_id, there, history(user_id) if there.known else History())

    @property
    def policy(self) -> tuple[Policy, str | None]:
        """How they are served, and why not by the model alone."""
        if not self.standing.consent:
            return POPULAR, "no_consent"
        if self.past.interactions >= settings.MUSICREC["COLD_BELOW"]:
            return PERSONAL, None
        return (EARLY if self.past.interactions else POPULAR), "cold_user"

    def query(self, bundle: ModelBundle, request: Request, forbidden: NDArray[np.int64]) -> Query:
        agreed = self.standing.consent
        return Query(
            limit=request.limit,
            seed=self.user_id,
            user_row=bundle.user_row(self.user_id, self.past.stamp) if agreed else None,
            past=self.past.pairs if agreed else History().pairs,
            exclude=self.past.met if agreed and request.exclude_played else np.zeros(0, np.int64),
            forbidden=forbidden,
            trust=min(1.0, self.past.interactions / settings.MUSICREC["COLD_BELOW"]),
        )


def recommend_for(user_id: int, request: Request) -> Answer:
    """What a listener should hear next: personal → popular → pseudo-random; at first more of what is popular. A
    listener nobody knows gets what is popular."""
    loaded, listener = cache.current(), Listener.of(user_id)
    policy, reason = listener.policy
    ranking, found = _page(loaded.bundle, policy, listener, request)
    if reason is None and ranking.strategy != "personal":
        reason = "no_known_tracks"
    return _answer(loaded, ranking, found, loaded.problem or reason, request, listener)


def recommend_without_model(user_id: int, request: Request) -> Answer:
    """The legacy answer: what is popular and the listener has not played; never the model."""
    catalogue, listener = Loaded(cache.catalogue()), Listener.of(user_id)
    ranking, found = _page(catalogue.bundle, POPULAR, listener, request)
    return _answer(catalogue, ranking, found, None, request, listener)


def recommend_similar(track_id: int, request: Request, user_id: int | None = None) -> Answer:
    """What is like a track: by who plays them, else by what is known of it, filled up with what is popular. user_id:
    whose dislikes and blocks count."""
    if track_id > INT64_MAX or not track_exists(track_id):
        raise UnknownTrack
    loaded, listener = cache.current(), Listener.of(user_id) if user_id is not None else None
    there, past = (listener.standing, listener.past) if listener else (Standing(), History())
    filters = filters_for(there, past, request.market, request.explicit)
    itself = np.array([track_id], np.int64)
    query = Query(request.limit, seed=track_id, track_id=track_id, exclude=itself, forbidden=filters.forbidden)
    ranking, found = page(loaded.bundle, SIMILAR, query, filters)
    reason = loaded.problem
    if len(ranking.picks) < request.limit:
        reason = reason or ("cold_track" if not ranking.picks else None)
        ranking, found = filled(query, ranking, filters)
    return _answer(loaded, ranking, found, reason, request, listener, about=itself)


def _page(bundle: ModelBundle, policy: Policy, listener: Listener, request: Request) -> tuple[Ranking, Cards]:
    filters = filters_for(listener.standing, listener.past, request.market, request.explicit)
    return page(bundle, policy, listener.query(bundle, request, filters.forbidden), filters)


def _answer(
    loaded: Loaded,
    ranking: Ranking,
    found: Cards,
    reason: str | None,
    request: Request,
    listener: Listener | None,
    about: NDArray[np.int64] | None = None,
) -> Answer:
    metrics.answers.labels(ranking.strategy, str(loaded.problem is not None).lower()).inc()
    results = [
        found[pick.track_id] | {"score": pick.score, "position": position, "source": pick.source}
        for position, pick in enumerate(ranking.picks, 1)
    ]
    if request.explain:
        wanted = about if about is not None else listener.past.wanted if listener else np.zeros(0, np.int64)
        reasons = explanations(loaded.bundle, ranking, wanted)
        for result in results:
            result["explanation"] = reasons[result["track_id"]]
    recommendation_id, now = uuid.uuid4(), timezone.now()
    body = {
        "recommendation_id": str(recommendation_id),
        "strategy": ranking.strategy,
        "model_version": loaded.bundle.version,
        "generated_at": now,
        "degraded": loaded.problem is not None,
        "fallback_reason": reason or ("nothing_new" if ranking.repeats else None),
        "results": results,
    }
    if listener is not None and not listener.standing.consent:
        return Answer(body)
    known = listener.user_id if listener and listener.standing.known else None
    ids = [pick.track_id for pick in ranking.picks]
    version = loaded.bundle.version or ""
    return Answer(body, Shown(recommendation_id, known, ranking.strategy, version, request.placement, ids, now))


def note_shown(answer: Answer) -> None:
    """Keep the slate, once it is certain that somebody gets to see it."""
    if answer.shown is not None:
        slate_log.add(answer.shown)
