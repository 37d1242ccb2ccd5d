"""Evaluate several models on the same ground truth: the items that each user played after the split."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
import scipy.sparse as sp

from engine.evaluation.beyond_accuracy import item_vectors
from engine.evaluation.bootstrap import draw_resamples
from engine.evaluation.ground_truth import GroundTruth
from engine.evaluation.metrics import Hits
from engine.evaluation.questions import NEW
from engine.evaluation.ranking import Scorer, rank_top_k
from engine.evaluation.report import ReportBuilder
from engine.evaluation.segments import COLD_THRESHOLD, HEAD_SHARE, item_segments, user_segments

MOST_POPULAR = "most_popular"
MAX_USERS = 10_000  # a sample of this many users puts NDCG within about ±.003
ProgressCallback = Callable[[int, int], None]


def evaluate(
    past: sp.csr_matrix,
    future: sp.csr_matrix,
    scorers: Mapping[str, Scorer],
    *,
    question: str = NEW,
    ks: Sequence[int] = (5, 10, 20),
    seed: int = 0,
    max_users: int | None = MAX_USERS,
    cold_threshold: int = COLD_THRESHOLD,
    head_share: float = HEAD_SHARE,
    threads: int = 0,
    progress: ProgressCallback = lambda done, total: None,
) -> dict[str, Any]:
    """Evaluate models, and the baseline "most popular", on the items that users played in the future.

    The whole catalogue is ranked, without sampled negatives. By default items of a user's past are neither recommended
    nor relevant. Users with no relevant item are left out. Users without a past are included; the scorer decides what
    to recommend to them.

    Args:
        past: CSR (users, items); any stored entry counts as a play, whatever its value.
        future: the same, for the plays that were held out.
        scorers: models by name; the first is compared with each of the others.
        question: one of `QUESTIONS`, which says what lists may hold and what is relevant.
        ks: cut-offs, at least 1.
        seed: of the sample of users, the bootstrap and the sample of lists whose diversity is measured.
        max_users: evaluate a seeded sample of at most this many users; None for all.
        cold_threshold: see `user_segments`.
        head_share: see `item_segments`.
        threads: 0 for all cores.
        progress: called with the users done, over all models, and their total.

    Returns:
        A JSON-ready report: `{"listeners", "tracks", "ks", "max_k", "models": {name: {"metrics": {"ndcg@10": {"mean",
        "low", "high"}, …}, "segments": {"cold": {"listeners", "metrics"}, …}}}, "differences": {other: {"ndcg@10":
        {…}, …}}}`. Low and high are 95 % bootstrap bounds. A metric that is undefined for all users is absent; without
        any user to evaluate, all models are absent.

    Raises:
        ValueError: a cut-off is below 1 or there is none; the shapes of past, future and scores do not match; the
            question is unknown.
    """
    ks = sorted(set(map(int, ks)))
    if not ks or ks[0] < 1:
        raise ValueError(f"ks: expected one or more cut-offs of at least 1, not {ks}")
    ground_truth = GroundTruth.from_matrices(past, future, max_users, seed, question)
    users = len(ground_truth.users)
    report = {"listeners": users, "tracks": past.shape[1], "ks": ks, "max_k": ks[-1], "models": {}, "differences": {}}
    if not users:
        return report

    builder = ReportBuilder(
        ground_truth=ground_truth,
        ks=ks,
        resamples=draw_resamples(users, seed),
        item_vectors=item_vectors(ground_truth.past),
        user_segments=user_segments(ground_truth.history_lengths(), cold_threshold),
        item_segments=item_segments(ground_truth.popularity, head_share),
        seed=seed,
    )
    all_scorers = dict(scorers) | {MOST_POPULAR: most_popular_scorer(ground_truth)}
    hits: dict[str, Hits] = {}
    for name, scorer in all_scorers.items():

        def count_users(done: int, previous: int = len(hits) * users) -> None:
            progress(previous + done, len(all_scorers) * users)

        lists = rank_top_k(
            scorer,
            ground_truth.users,
            ground_truth.past,
            ks[-1],
            question=question,
            threads=threads,
            progress=count_users,
        )
        hits[name] = ground_truth.mark_hits(lists)
        report["models"][name] = builder.report_model(lists, hits[name])
    first, *others = hits
    report["differences"] = {name: builder.report_difference(hits[first], hits[name]) for name in others}
    return report


def most_popular_scorer(ground_truth: GroundTruth) -> Scorer:
    """Return a baseline with the same scores for everybody: how many users each item has in the past."""
    return lambda users: np.tile(ground_truth.popularity, (len(users), 1))
