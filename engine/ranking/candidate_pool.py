"""Gather the candidates of several sources and give each one score: its relevance."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from engine.bundle.model_bundle import ModelBundle
from engine.bundle.workspace import SearchWorkspace
from engine.ranking.context import weigh_context
from engine.ranking.objectives import weigh_sliders
from engine.ranking.picks import Pick
from engine.retrieval.candidates import SCORERS, Query
from engine.retrieval.exact_search import TopK

Rows = NDArray[np.int64]
Floats = NDArray[np.float64]
ROUNDING = 1e-6  # by which relevance differs between the search for a track and its score, at most


@dataclass(frozen=True)
class CandidatePool:
    """k candidates of s sources, the first of which is the main source.

    Attributes:
        sources: names of the sources.
        rows: the candidates, in the order in which they were proposed, int64 (k,).
        scores: what each source said of the candidates that it proposed, NaN for others, float64 (s, k). A source
            without weight that says exactly what the main source says, as "neighbours" does where they are all that a
            version has, proposes nothing of its own.
        relevance: score of the main source, whoever proposed the candidate, float64 (k,): 1 for the highest, 0 for the
            lowest that the main source proposed itself, below 0 for lower ones, 0 for those that it knows nothing of,
            and at least 0 for those that the listener wants more of.
        is_scored: whether the main source has a score for the candidate, bool (k,).
        opinions: of each source on its own candidates, 0 to 1, times its weight; row 0 is 0. float64 (s, k).
        wishes: what the listener's sliders add, see `weigh_sliders`, float64 (k,).
        context: what the context of the request adds, see `weigh_context`; 0 for tracks that the main source has no
            score for. float64 (k,).
        merit: relevance, opinions, wishes and context, float64 (k,).
        is_relevant: whether the main source proposed the candidate, or its merit is above 0, bool (k,). Others are no
            more relevant than the last that the main source proposed, and no opinion makes up for it.
    """

    sources: tuple[str, ...]
    rows: Rows
    scores: Floats
    relevance: Floats
    is_scored: NDArray[np.bool_]
    opinions: Floats
    wishes: Floats
    context: Floats

    @cached_property
    def merit(self) -> Floats:
        return np.asarray(self.relevance + self.opinions.sum(axis=0) + self.wishes + self.context)

    @cached_property
    def is_relevant(self) -> NDArray[np.bool_]:
        return np.asarray(~np.isnan(self.scores[0]) | (self.merit > ROUNDING))

    def pick(self, index: int, bundle: ModelBundle) -> Pick:
        """Return a candidate as a pick of the source that contributed most; of equal ones, of the first."""
        scores, contributions = self.scores[:, index].tolist(), self.opinions[:, index].tolist()
        contributions[0] = float(self.relevance[index])
        proposing = [number for number, score in enumerate(scores) if score == score]  # NaN differs from itself
        best = max(proposing, key=contributions.__getitem__)
        names = tuple(self.sources[number] for number in proposing)
        return Pick(int(bundle.items.ids[self.rows[index]]), round(scores[best], 6), self.sources[best], names)


def gather_candidates(
    bundle: ModelBundle,
    query: Query,
    workspace: SearchWorkspace,
    proposals: Mapping[str, TopK],
    weights: Mapping[str, float],
    context_dial: float = 0.0,
) -> CandidatePool:
    """Merge what sources propose, and score everything by the main source.

    Candidates that the main source knows nothing of, and that only sources without weight propose, are left out:
    nothing says that they are any good. Those that the listener wants more of are not: the listener says so.

    Args:
        proposals: rows and scores by source, the main source first.
        weights: of the sources.
        context_dial: see `engine.policy.Dials`.
    """
    names = tuple(proposals)
    all_rows = np.concatenate([rows for rows, _ in proposals.values()])
    rows, position = _distinct(all_rows, workspace)
    scores = np.full((len(names), len(rows)), np.nan)
    opinions = np.zeros((len(names), len(rows)))
    start, of_main = 0, proposals[names[0]]
    for number, (name, (proposed, proposed_scores)) in enumerate(proposals.items()):
        positions = position[start : start + len(proposed)]
        is_copy = number > 0 and not weights[name] and np.array_equal(proposed, of_main[0])
        if not (is_copy and np.allclose(proposed_scores, of_main[1])):
            scores[number, positions] = proposed_scores
        if number and weights[name]:
            opinions[number, positions] = weights[name] * _scale(proposed_scores)
        start += len(proposed)

    main_scores = scores[0].copy()
    main_count = len(of_main[0])
    if names[0] in SCORERS and main_count < len(rows):
        main_scores[main_count:] = SCORERS[names[0]](bundle, query, workspace, rows[main_count:])
    has_opinion = [bool(number == 0 or weights[name]) for number, name in enumerate(names)]
    wishes = weigh_sliders(bundle, query, rows)
    supported = ~np.isnan(main_scores) | ~np.isnan(scores[has_opinion]).all(axis=0) | (wishes > 0)
    if not supported.all():
        rows, main_scores = rows[supported], main_scores[supported]
        scores, opinions, wishes = scores[:, supported], opinions[:, supported], wishes[supported]
    # Other sources may propose tracks that are far less relevant. They must not compress the range of the others, for
    # what a dial weighs would then depend on who else proposes.
    lowest = proposals[names[0]][1].min() if main_count else np.nan
    relevance = _scale(main_scores, lowest)
    relevance = np.where(wishes > 0, np.maximum(relevance, 0.0), relevance)
    is_scored, context = ~np.isnan(main_scores), np.zeros(len(rows))
    if context_dial:
        context[is_scored] = context_dial * weigh_context(bundle, query, workspace, rows[is_scored])
    return CandidatePool(names, rows, scores, relevance, is_scored, opinions, wishes, context)


def _distinct(rows: Rows, workspace: SearchWorkspace) -> tuple[Rows, Rows]:
    """Return distinct rows in the order of their first appearance, and the position of each row among them."""
    slots, order = workspace.slots, np.arange(len(rows), dtype=np.int32)
    slots[rows[::-1]] = order[::-1]  # of equal rows the first one is written last
    distinct = rows[slots[rows] == order]
    slots[distinct] = order[: len(distinct)]
    return distinct, slots[rows].astype(np.int64)


def _scale(scores: Floats, lowest: float = np.nan) -> Floats:
    """Shift and scale scores so that the lowest becomes 0 and the highest 1; equal scores become 1, NaN becomes 0.

    Args:
        lowest: the score that becomes 0; by default the lowest one, as well if none is higher.
    """
    if not len(scores):
        return scores
    highest = np.fmax.reduce(scores)
    if not highest > lowest:
        lowest = np.fmin.reduce(scores)
    if not highest > lowest:
        return np.where(np.isnan(scores), 0.0, 1.0)
    return np.asarray(np.nan_to_num((scores - lowest) / (highest - lowest), nan=0.0))
