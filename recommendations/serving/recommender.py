"""One answer, from what it is made of."""

from collections.abc import Callable, Iterable
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import Any, NamedTuple

import numpy as np
from django.conf import settings
from numpy.typing import NDArray

from engine.bundle.model_bundle import ModelBundle
from engine.data.id_map import INT64_MAX
from engine.pipeline import EARLY, PERSONAL, POPULAR, SIMILAR, Policy, Ranking, recommend
from engine.retrieval.candidates import Query
from interactions.selectors import History
from recommendations import metrics
from recommendations.serving.filters import Filters, filters_for
from recommendations.serving.model_cache import LoadedModel, model_cache
from recommendations.serving.precomputed import MAX_PICKS, load_ranking
from recommendations.serving.request_context import RequestContext
from recommendations.serving.response import Slate, kept
from recommendations.serving.response_cache import CachedResponse
from recommendations.serving.slate import Placards, filled, page
from tracks.card_cache import track_card_cache

Ids = NDArray[np.int64]


class UnknownTrack(Exception):
    """The catalogue has no such track."""


class RequestOptions(NamedTuple):
    """How an answer is wanted. placement: where in the app · market: "" for that of the listener · explicit: whether
    tracks marked so are welcome."""

    limit: int
    exclude_played: bool = True
    explain: bool = False
    placement: str = ""
    market: str = ""
    explicit: bool = True


class RecommendationRequest(NamedTuple):
    """kind: "personal", "legacy" or "similar" · listener: whom it is about · track: what the answer is to be like."""

    kind: str
    request: RequestOptions
    listener: int | None = None
    track: int | None = None


@dataclass(frozen=True)
class Listener:
    """Who is asking. What somebody did who has not agreed to be recommended by it is not looked at, beyond what they
    dislike."""

    asked: RequestContext

    @property
    def past(self) -> History:
        return self.asked.past

    @property
    def policy(self) -> tuple[Policy, str | None]:
        """How they are served, and why not by the model alone."""
        if not self.asked.standing.consent:
            return POPULAR, "no_consent"
        if self.past.interactions >= settings.MUSICREC["COLD_BELOW"]:
            return PERSONAL, None
        return (EARLY if self.past.interactions else POPULAR), "cold_user"

    def query(self, bundle: ModelBundle, question: RecommendationRequest, filters: Filters) -> Query:
        agreed, request, listener = self.asked.standing.consent, question.request, question.listener or 0
        return Query(
            limit=request.limit,
            seed=listener,
            user_row=bundle.user_row(listener, self.past.stamp) if agreed else None,
            history=self.past.pairs if agreed else History().pairs,
            exclude=self.past.known_tracks if agreed and request.exclude_played else np.zeros(0, np.int64),
            forbidden=filters.forbidden,
            unavailable=filters.unavailable,
            personal_weight=min(1.0, self.past.interactions / settings.MUSICREC["COLD_BELOW"]),
            time_step=metrics.engine_timer,
        )


@dataclass(frozen=True)
class Making:
    """without: ids of tracks that are shown beside it · known: the ranking, where it has been computed already."""

    question: RecommendationRequest
    asked: RequestContext
    loaded: LoadedModel
    without: Ids = field(default_factory=lambda: np.zeros(0, np.int64))
    known: Ranking | None = None

    @classmethod
    def of(cls, question: RecommendationRequest, asked: RequestContext, **more: Any) -> "Making":
        """By the version in service."""
        return cls(
            question,
            asked,
            LoadedModel(model_cache.catalogue()) if question.kind == "legacy" else model_cache.current(),
            **more,
        )

    @cached_property
    def made_of(self) -> tuple[Any, ...]:
        """Everything else than the question that decides the answer."""
        return (
            self.loaded.bundle.version,
            self.loaded.problem,
            model_cache.popularity_digest,
            self.asked.standing,
            tuple(sorted(self.asked.blocks)),
            self.asked.catalogue,
            settings.MUSICREC["COLD_BELOW"],
        )

    @property
    def policy(self) -> Policy:
        return self.listener.policy[0]

    @cached_property
    def listener(self) -> Listener:
        return Listener(self.asked)

    def answer(self, slate: Slate | None = None) -> CachedResponse:
        """slate: where it is there already. Raises UnknownTrack."""
        return kept(slate or self.slate(), self.made_of, self.asked.state)

    def slate(self) -> Slate:
        """Raises UnknownTrack."""
        by: dict[str, Callable[[], Slate]] = {
            "personal": self._personal,
            "legacy": self._legacy,
            "similar": self._similar,
        }
        return by[self.question.kind]()

    def _personal(self) -> Slate:
        """Personal → popular → pseudo-random; at first more of what is popular. A listener nobody knows gets what is
        popular."""
        policy, reason = self.listener.policy
        ranking, found = self._page(policy)
        if reason is None and ranking.strategy != "personal":
            reason = "no_known_tracks"
        return self._slate(ranking, found, self.loaded.problem or reason, self.listener.past.positive_tracks)

    def _legacy(self) -> Slate:
        """What is popular and the listener has not played; never the model."""
        return self._slate(*self._page(POPULAR), None, self.listener.past.positive_tracks)

    @cached_property
    def filters(self) -> Filters:
        request = self.question.request
        filters = filters_for(self.asked, self.listener.past, request.market, request.explicit)
        return (
            replace(filters, forbidden=np.concatenate([filters.forbidden, self.without]))
            if len(self.without)
            else filters
        )

    @cached_property
    def query(self) -> Query:
        return self.listener.query(self.loaded.bundle, self.question, self.filters)

    def _page(self, policy: Policy) -> tuple[Ranking, Placards]:
        return page(self.loaded.bundle, policy, self.query, self.filters, self.known or self._ahead())

    def _ahead(self) -> Ranking | None:
        """The ranking that was computed ahead, for a question as it is mostly asked."""
        request, listener = self.question.request, self.question.listener
        usual = request.exclude_played and request.explicit and not request.market and not len(self.without)
        if listener is None or self.question.kind != "personal" or not usual or request.limit > MAX_PICKS:
            return None
        return load_ranking(listener, self.made_of, request.limit)

    def _similar(self) -> Slate:
        """What is like a track: by who plays it, else by what is known of it, filled up with what is popular."""
        track, request = self.question.track, self.question.request
        if track is None or track > INT64_MAX or not track_card_cache.get_cards([track], self.asked.catalogue):
            raise UnknownTrack(track)
        itself = np.array([track], np.int64)
        query = Query(
            request.limit,
            seed=track,
            track_id=track,
            exclude=itself,
            forbidden=self.filters.forbidden,
            unavailable=self.filters.unavailable,
        )
        ranking, found = page(self.loaded.bundle, SIMILAR, query, self.filters)
        reason = self.loaded.problem
        if len(ranking.picks) < request.limit:
            reason = reason or ("cold_track" if not ranking.picks else None)
            ranking, found = filled(query, ranking, self.filters)
        return self._slate(ranking, found, reason, itself)

    def _slate(self, ranking: Ranking, found: Placards, reason: str | None, speaking_for_it: Ids) -> Slate:
        return Slate(
            self.loaded,
            ranking,
            found,
            reason or ("nothing_new" if ranking.repeats else None),
            speaking_for_it if self.question.request.explain else None,
            self.question.request.placement,
            self.asked,
        )


def ranked(makings: Iterable[Making]) -> list[Making]:
    """Return the same with their rankings."""
    return [replace(m, known=recommend(m.loaded.bundle, m.query, m.policy)) for m in makings]
