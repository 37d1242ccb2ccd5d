"""The best tracks by a sum of terms: exactly, and looking at no more of the catalogue than that needs.

No score is greater than the lengths of both vectors multiplied (Cauchy-Schwarz), and the longest tracks come first:
once that bound is below the k-th best score found, nothing further can be better (Teflioudi, Gemulla & Mykytiuk 2015).
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray

from engine.bundle.ann_index import FOR_LISTENERS, FOR_TRACKS
from engine.bundle.model_bundle import ModelBundle
from engine.bundle.norm_sorted_items import BLOCK, NormSortedItems
from engine.bundle.workspace import VOTED, SearchWorkspace
from engine.retrieval.chunks import blocks
from engine.retrieval.score_terms import Floats, ScoreTerms
from engine.retrieval.top_k import TopK, TopKAccumulator, top_k_of_rows

_FIRST, _GROWTH, _MOST = 512, 16, 65_536  # rows at once: a look at a block costs as much as a thousand of them
_FLOAT32 = 2e-6  # by how much a float32 score of one or two hundred factors may be wrong, of the product of the lengths


def search_top_k(sum_: ScoreTerms, bundle: ModelBundle, marks: SearchWorkspace, k: int) -> TopK:
    """The k best rows that are free, best first, equal scores by row; `marks` is left with VOTED rows."""
    best = best_voted(sum_, bundle, marks, k)
    if sum_.wide:
        _see_others(sum_, bundle, marks, best)
    return finished(sum_, bundle, marks, best)


def best_voted(sum_: ScoreTerms, bundle: ModelBundle, marks: SearchWorkspace, k: int) -> TopKAccumulator:
    """Of the rows that have votes, which are marked then."""
    best = TopKAccumulator(k, _slack(sum_, bundle.norm_sorted_items))
    if len(sum_.rows):
        _see_voted(sum_, bundle, marks, best)
        marks.add(sum_.rows, VOTED)
    return best


def finished(sum_: ScoreTerms, bundle: ModelBundle, marks: SearchWorkspace, best: TopKAccumulator) -> TopK:
    """The k best of those seen, by their scores again in float64."""
    scores = sum_.without_votes(bundle, best.rows)
    if len(sum_.rows):
        voted = np.flatnonzero(marks.flags[best.rows] & VOTED)
        marks.slots[sum_.rows] = np.arange(len(sum_.rows), dtype=np.int32)
        scores[voted] += sum_.votes[marks.slots[best.rows[voted]]]
    return top_k_of_rows(best.rows, scores, best.k)


def search_similar(bundle: ModelBundle, row: int, marks: SearchWorkspace, k: int) -> TopK:
    """By cosine with the factors of `row`, which has some; of those tracks that have some."""
    offered, best, nearest = bundle.norm_sorted_items, TopKAccumulator(k, _FLOAT32), bundle.ann_indexes.get(FOR_TRACKS)
    if nearest is not None:
        rows = nearest.rows(bundle.item_factors[row], k, marks)
        return top_k_of_rows(rows, cosine_similarities(bundle, row, rows), k)
    vector = bundle.item_factors[row] / bundle.item_norms[row]
    for block in _blocks(offered.with_factors, k):
        _see(offered, marks, best, block, (offered.factors[block] @ vector) / offered.norms[block])
    return top_k_of_rows(best.rows, cosine_similarities(bundle, row, best.rows), k)


def cosine_similarities(bundle: ModelBundle, row: int, rows: NDArray[np.int64]) -> Floats:
    """float64 (k,), of `rows` int64 (k,) with one row; all of them have factors."""
    vector = bundle.item_factors[row].astype(np.float64) / float(bundle.item_norms[row])
    return np.asarray((bundle.item_factors[rows] @ vector) / bundle.item_norms[rows])


def _blocks(n: int, k: int) -> Iterator[slice]:
    return blocks(n, max(_FIRST, 2 * k), _MOST, _GROWTH)


def _slack(sum_: ScoreTerms, offered: NormSortedItems) -> float:
    return _FLOAT32 * (sum_.length * offered.longest + abs(sum_.constant) + 16 * abs(sum_.popular))


def _see_voted(sum_: ScoreTerms, bundle: ModelBundle, marks: SearchWorkspace, best: TopKAccumulator) -> None:
    """Those that have votes, the most promising first."""
    free = marks.free(sum_.rows)
    rows, votes = sum_.rows[free], sum_.votes[free]
    if not sum_.by_factors:
        _see_offered(sum_, best, rows, votes + sum_.without_votes(bundle, rows))
        return
    at_most = votes + sum_.length * bundle.item_norms[rows] + sum_.constant
    if sum_.popular:
        at_most += sum_.popular * np.log1p(bundle.popularity[rows])
    order = np.argsort(-at_most)
    for block in _blocks(len(order), best.k):
        now = order[block]
        if not at_most[now[0]] >= best.floor:  # nor where it is not a number
            break
        best.see(rows[now], votes[now] + sum_.without_votes(bundle, rows[now]))


def _see_others(sum_: ScoreTerms, bundle: ModelBundle, marks: SearchWorkspace, best: TopKAccumulator) -> None:
    nearest = bundle.ann_indexes.get(FOR_LISTENERS)
    if nearest is not None and sum_.by_factors:
        rows = nearest.rows(np.append(sum_.vector, sum_.popular), best.k, marks)
        _see_offered(sum_, best, rows, sum_.without_votes(bundle, rows))
    elif sum_.popular:
        _by_bounds(sum_, bundle.norm_sorted_items, marks, best)
    elif sum_.by_factors:
        _by_norm(sum_, bundle.norm_sorted_items, marks, best)
    else:
        _all_alike(sum_, bundle, marks, best)


def _by_norm(sum_: ScoreTerms, offered: NormSortedItems, marks: SearchWorkspace, best: TopKAccumulator) -> None:
    vector = sum_.vector.astype(np.float32)
    for block in _blocks(offered.with_factors if sum_.silent else len(offered), best.k):
        if not sum_.length * float(offered.norms[block.start]) + sum_.constant >= best.floor:
            break
        _see(offered, marks, best, block, offered.factors[block] @ vector, sum_)


def _by_bounds(sum_: ScoreTerms, offered: NormSortedItems, marks: SearchWorkspace, best: TopKAccumulator) -> None:
    """Where popularity counts too, the block that may have most comes first."""
    vector, popular = sum_.vector.astype(np.float32), np.float32(sum_.popular)
    norms, least, greatest = offered.bounds
    bounds = sum_.length * norms + sum_.popular * (greatest if popular > 0 else least) + sum_.constant
    for number in np.argsort(-bounds, kind="stable"):
        if bounds[number] < best.floor:
            break
        block = slice(number * BLOCK, min((number + 1) * BLOCK, len(offered)))
        _see(offered, marks, best, block, offered.factors[block] @ vector + popular * offered.listeners[block], sum_)


def _all_alike(sum_: ScoreTerms, bundle: ModelBundle, marks: SearchWorkspace, best: TopKAccumulator) -> None:
    """Nothing but the constant: the first rows that are free."""
    missing = best.k
    for block in _blocks(len(bundle.items), best.k):
        if missing < 1 or sum_.constant < best.floor:
            break
        rows = np.arange(block.start, block.stop)
        rows = rows[(bundle.popularity[rows] > 0) & marks.free(rows)][:missing]
        best.see(rows, np.full(len(rows), sum_.constant))
        missing -= len(rows)


def _see_offered(sum_: ScoreTerms, best: TopKAccumulator, rows: NDArray[np.int64], scores: Floats) -> None:
    said = sum_.offers(scores)
    best.see(rows[said], scores[said])


def _see(
    offered: NormSortedItems,
    marks: SearchWorkspace,
    best: TopKAccumulator,
    block: slice,
    scores: NDArray[np.float32],
    sum_: ScoreTerms | None = None,
) -> None:
    """The scores of a block, without the constant of the sum."""
    constant = sum_.constant if sum_ else 0.0
    places = (scores >= np.float32(best.floor - constant)).nonzero()[0]
    if not len(places):
        return
    if sum_ and sum_.silent:
        places = places[scores[places] != 0]
    rows = offered.rows[block.start : block.stop][places]
    free = marks.free(rows)
    best.see(rows[free].astype(np.int64), scores[places[free]].astype(np.float64) + constant)
