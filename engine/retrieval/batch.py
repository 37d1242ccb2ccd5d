"""Many queries at once: the same answers as one by one, with the factors of many listeners multiplied together."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from engine.bundle.ann_index import FOR_LISTENERS
from engine.bundle.exclusion_mask import VOTED, SearchWorkspace
from engine.bundle.model_bundle import ModelBundle
from engine.pipeline import Policy, Ranking, marked, picked, ranked, recommend
from engine.retrieval.batch_search import Crowd, Member
from engine.retrieval.candidates import Query, early_score_terms, personal_score_terms
from engine.retrieval.exact_search import best_voted, finished
from engine.retrieval.score_terms import ScoreTerms

_TOGETHER = 256  # listeners: their scores of a block of tracks stay in the processor's cache, more or less
_SUMS: dict[str, Callable[[ModelBundle, Query, SearchWorkspace], ScoreTerms | None]] = {
    "personal": personal_score_terms,
    "early": early_score_terms,
}


@dataclass
class _Asked:
    place: int
    query: Query
    sum_: ScoreTerms


def recommend_many(bundle: ModelBundle, queries: Sequence[Query], policy: Policy) -> list[Ranking]:
    """As `recommend` of each. Where an index answers, or the first source is nobody's own, it is that."""
    if policy.sources[0] not in _SUMS or FOR_LISTENERS in bundle.ann_indexes or len(queries) < 2:
        return [recommend(bundle, query, policy) for query in queries]
    crowd = Crowd(bundle)
    found: list[Ranking] = []
    for begin in range(0, len(queries), _TOGETHER):
        found += _together(bundle, crowd, queries[begin : begin + _TOGETHER], policy)
    return found


def _together(bundle: ModelBundle, crowd: Crowd, queries: Sequence[Query], policy: Policy) -> list[Ranking]:
    answers: dict[int, Ranking] = {}
    asked: list[_Asked] = []
    members: list[Member] = []
    for place, query in enumerate(queries):
        with marked(bundle, query) as marks:
            sum_ = _SUMS[policy.sources[0]](bundle, query, marks) if query.limit > 0 else None
            if sum_ is None or not sum_.by_factors:
                answers[place] = ranked(bundle, query, policy, marks)
            else:
                best = best_voted(sum_, bundle, marks, query.limit)
                asked.append(_Asked(place, query, sum_))
                members.append(Member(sum_, best, marks.left_out, marks.mask))
    crowd.see(members)
    for one, member in zip(asked, members, strict=True):
        answers[one.place] = _answer(bundle, one, member, policy)
    return [answers[place] for place in range(len(queries))]


def _answer(bundle: ModelBundle, asked: _Asked, member: Member, policy: Policy) -> Ranking:
    with bundle.workspaces.borrow() as marks:
        if len(asked.sum_.rows):
            marks.add(asked.sum_.rows, VOTED)
        found = finished(asked.sum_, bundle, marks, member.best)
    if len(found[0]) == asked.query.limit:
        return Ranking(picked(bundle, policy.sources[0], found))
    with marked(bundle, asked.query) as marks:
        return ranked(bundle, asked.query, policy, marks, found)
