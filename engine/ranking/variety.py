"""Order candidates so that each differs from those before it."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray
from pyversity import Strategy, diversify

from engine.bundle.model_bundle import ModelBundle

Rows = NDArray[np.int64]
Floats = NDArray[np.float64]
NO_ROWS: Rows = np.zeros(0, np.int64)
MAX_BELOW_HEAD = 0.999  # with a diversity of 1 no value would put a candidate first


def order_by_variety(
    bundle: ModelBundle, rows: Rows, values: Floats, diversity: float, head: Rows, first: int, before: Rows = NO_ROWS
) -> Iterator[int]:
    """Yield the positions of candidates, best first, by maximal marginal relevance.

    The next candidate is the one with the highest (1 - diversity) · value - diversity · similarity, where the
    similarity is the greatest cosine with a candidate before it, at least 0 (Carbonell & Goldstein 1998, "The Use of
    MMR, Diversity-Based Reranking"). As the choice is greedy, the order does not depend on how many are taken. A track
    without a vector is similar to none.

    Args:
        rows: the candidates, int64 (k,).
        values: float64 (k,).
        diversity: 0 to 1; 0 orders by value, equal values by position.
        head: positions of the candidates that come first, in this order, and that the others must differ from.
        first: how many candidates to order at first. The others are ordered only when they are asked for, because each
            takes a product with all vectors.
        before: the tracks right before the first position, which the candidates must differ from, too.
    """
    if not diversity:
        is_head = np.isin(np.arange(len(rows)), head)
        order = np.argsort(-values, kind="stable")
        yield from (*head.tolist(), *order[~is_head[order]].tolist())
        return
    if not len(rows):
        return
    fixed = np.concatenate([np.arange(len(before)), len(before) + head])  # in the order in which they stand
    vectors = bundle.vectors(np.concatenate([before, rows]))
    values = np.concatenate([np.zeros(len(before)), values])
    if len(fixed):
        diversity = min(diversity, MAX_BELOW_HEAD)
        # No similarity outweighs a difference of 2 between the weighted values.
        values[fixed] = (values.max() + 2 * np.arange(len(fixed), 0, -1)) / (1 - diversity)
    ordered = len(before)
    while ordered < len(values):
        count = min(max(len(before) + first, 2 * ordered), len(values))
        best = diversify(vectors, values, count, strategy=Strategy.MMR, diversity=diversity)
        yield from (best.indices[ordered:] - len(before)).tolist()
        ordered = count
