"""Answers for many listeners at once, and many shelves for one."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

from recommendations.serving.answer import count, note
from recommendations.serving.recommender import Making, RecommendationRequest, RequestOptions, ranked
from recommendations.serving.request_context import RequestContext, load_contexts
from recommendations.serving.response import Slate
from recommendations.serving.response_cache import CachedResponse, response_cache
from tracks.card_cache import track_card_cache


class Shelf(NamedTuple):
    """One row of a screen. kind: "personal", "similar" or "legacy", which is what is popular · track: of "similar"."""

    name: str
    kind: str
    limit: int
    track: int | None = None


@dataclass(frozen=True)
class ForListener:
    listener: int
    answer: CachedResponse


def answers_for(listeners: Sequence[int], request: RequestOptions) -> list[ForListener]:
    """Personal answers, in the order of the listeners, each as it would be alone. Those that are not kept are computed
    together. Two queries."""
    asked = load_contexts(listeners)
    makings = [Making.of(RecommendationRequest("personal", request, i), asked[i]) for i in listeners]
    found = {m.question: kept for m in makings if (kept := response_cache.near(m.question, m.made_of))}
    made = _computed([m for m in makings if m.question not in found])
    for making in made:
        found[making.question] = _given(making, response_cache.put(making.question, making.answer()))
    return [ForListener(m.question.listener or 0, found[m.question]) for m in makings]


def shelves_for(
    listener: int, asked: RequestContext, shelves: Sequence[Shelf], request: RequestOptions
) -> list[tuple[Shelf, CachedResponse]]:
    """Answers in the order of the shelves; no track is on two of them: the first one has it. Raises UnknownTrack."""
    shown = np.zeros(0, np.int64)
    answers = []
    for one in shelves:
        question = RecommendationRequest(one.kind, request._replace(limit=one.limit), listener, one.track)
        making = Making.of(question, asked, without=shown)
        slate = making.slate()
        shown = np.concatenate([shown, _tracks(slate)])
        answers.append((one, _given(making, making.answer(slate))))
    return answers


def _computed(makings: Sequence[Making]) -> list[Making]:
    """The same, with their rankings; and what lists show of all of them is looked up at once."""
    done = ranked(makings)
    if done:
        tracks = {pick.track_id for m in done if m.known for pick in m.known.picks}
        track_card_cache.get_cards(tracks, done[0].asked.catalogue)
    return done


def _given(making: Making, kept: CachedResponse) -> CachedResponse:
    count(making, kept)
    note(kept)
    return kept


def _tracks(slate: Slate) -> "np.typing.NDArray[np.int64]":
    return np.array([pick.track_id for pick in slate.ranking.picks], np.int64)
