"""Evaluate the lists of several models on the same ground truth: what each user played after the split."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from engine.evaluation.beyond_accuracy import item_vectors
from engine.evaluation.bootstrap import draw_resamples
from engine.evaluation.ground_truth import GroundTruth
from engine.evaluation.metrics import Hits
from engine.evaluation.report import ReportBuilder
from engine.evaluation.segments import HEAD_SHARE, item_segments, user_segments

Rows = NDArray[np.int64]
ProgressCallback = Callable[[int, int], None]


class RankedLists(NamedTuple):
    """What a model recommends to n users.

    Attributes:
        items: int64 (n, k), item rows, best first; -1 where a list is shorter.
        is_personal: bool (n,), whether the model knows something about the user, rather than offer popular items.
    """

    items: Rows
    is_personal: NDArray[np.bool_]


Ranker = Callable[[Rows, int, Callable[[int], None]], RankedLists]
"""(user rows int64 (n,), k, called with the number of users done) -> a list of k items for each."""


def evaluate(
    ground_truth: GroundTruth,
    rankers: Mapping[str, Ranker],
    is_cold: NDArray[np.bool_],
    *,
    ks: Sequence[int] = (5, 10, 20),
    seed: int = 0,
    head_share: float = HEAD_SHARE,
    progress: ProgressCallback = lambda done, total: None,
) -> dict[str, Any]:
    """Evaluate the lists of models against the items that users played in the future.

    Args:
        ground_truth: the users, and what is relevant to them.
        rankers: models by name; the first is compared with each of the others.
        is_cold: bool (n,), which users of the ground truth are cold.
        ks: cut-offs, at least 1.
        seed: of the bootstrap and the sample of lists whose diversity is measured.
        head_share: see `item_segments`.
        progress: called with the users done, over all models, and their total.

    Returns:
        A JSON-ready report: `{"listeners", "tracks", "ks", "max_k", "models": {name: {"metrics": {"ndcg@10": {"mean",
        "low", "high"}, …}, "segments": {"cold": {"listeners", "metrics"}, …}}}, "differences": {other: {"ndcg@10":
        {…}, …}}}`. Low and high are 95 % bootstrap bounds. A metric that is undefined for all users is absent; without
        any user to evaluate, all models are absent.

    Raises:
        ValueError: a cut-off is below 1 or there is none.
    """
    ks = sorted(set(map(int, ks)))
    if not ks or ks[0] < 1:
        raise ValueError(f"ks: expected one or more cut-offs of at least 1, not {ks}")
    users, items = len(ground_truth.users), ground_truth.past.shape[1]
    report = {"listeners": users, "tracks": items, "ks": ks, "max_k": ks[-1], "models": {}, "differences": {}}
    if not users:
        return report

    builder = ReportBuilder(
        ground_truth=ground_truth,
        ks=ks,
        resamples=draw_resamples(users, seed),
        item_vectors=item_vectors(ground_truth.past),
        user_segments=user_segments(ground_truth.history_lengths(), is_cold),
        item_segments=item_segments(ground_truth.popularity, head_share),
        seed=seed,
    )
    hits: dict[str, Hits] = {}
    for name, rank in rankers.items():

        def count_users(done: int, previous: int = len(hits) * users) -> None:
            progress(previous + done, len(rankers) * users)

        lists = rank(ground_truth.users, ks[-1], count_users)
        hits[name] = ground_truth.mark_hits(lists.items)
        report["models"][name] = builder.report_model(lists.items, hits[name], lists.is_personal)
    first, *others = hits
    report["differences"] = {name: builder.report_difference(hits[first], hits[name]) for name in others}
    return report
