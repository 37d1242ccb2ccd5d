"""Ask several models the same question: what will each listener play next, out of all tracks?"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
import scipy.sparse as sp

from engine.evaluation.beyond_accuracy import item_vectors
from engine.evaluation.bootstrap import draw_resamples
from engine.evaluation.ground_truth import GroundTruth
from engine.evaluation.metrics import Hits
from engine.evaluation.ranking import Scorer, rank_top_k
from engine.evaluation.report import ReportBuilder
from engine.evaluation.segments import COLD_THRESHOLD, HEAD_SHARE, item_segments, user_segments

MOST_POPULAR = "most_popular"
MAX_USERS = 10_000  # a sample that size puts NDCG within about ±.003
Progress = Callable[[int, int], None]


def evaluate(
    past: sp.csr_matrix,
    future: sp.csr_matrix,
    rankers: Mapping[str, Scorer],
    *,
    ks: Sequence[int] = (5, 10, 20),
    seed: int = 0,
    max_users: int | None = MAX_USERS,
    cold_threshold: int = COLD_THRESHOLD,
    head_share: float = HEAD_SHARE,
    threads: int = 0,
    progress: Progress = lambda done, total: None,
) -> dict[str, Any]:
    """Judge `rankers`, and most popular beside them, on the tracks that listeners came to in the future.

    All tracks are ranked, none is sampled; what a listener has in the past is neither a hit nor relevant, and who has
    nothing relevant is left out. Who has no past is asked about too: the ranker decides what to offer them.

    past, future: CSR (users, items), any stored entry is a play · rankers: the first is compared with each other one ·
    ks: cut-offs ≥ 1 · max_listeners: judge a seeded sample of so many; None for all · cold_below, head_share: see
    `segments` · threads: 0 for all cores.

    JSON-ready: `{"listeners", "tracks", "ks", "max_k", "models": {name: {"metrics": {"ndcg@10": {"mean", "low",
    "high"}, …}, "segments": {"cold": {"listeners", "metrics"}, …}}}, "differences": {other: {"ndcg@10": {…}, …}}}`.
    low and high are 95 % bootstrap bounds; what nobody has a value of is absent, and without listeners so are all
    models. Raises ValueError for other cut-offs, and where the shapes of past, future and scores do not fit together.
    """
    ks = sorted(set(map(int, ks)))
    if not ks or ks[0] < 1:
        raise ValueError(f"ks are one cut-off or more, from 1; not {ks}")
    ground_truth = GroundTruth.from_matrices(past, future, max_users, seed)
    asked = len(ground_truth.users)
    answer = {"listeners": asked, "tracks": past.shape[1], "ks": ks, "max_k": ks[-1], "models": {}, "differences": {}}
    if asked:
        judge = ReportBuilder(
            ground_truth=ground_truth,
            ks=ks,
            draws=draw_resamples(asked, seed),
            vectors=item_vectors(ground_truth.past),
            listener_segments=user_segments(ground_truth.history_lengths(), cold_threshold),
            track_segments=item_segments(ground_truth.popularity, head_share),
            seed=seed,
        )
        answer |= _judge_all(judge, dict(rankers) | {MOST_POPULAR: most_popular(ground_truth)}, threads, progress)
    return answer


def most_popular(ground_truth: GroundTruth) -> Scorer:
    """The same for everybody: how many listeners each track has in the past."""
    return lambda listeners: np.tile(ground_truth.popularity, (len(listeners), 1))


def _judge_all(judge: ReportBuilder, rankers: Mapping[str, Scorer], threads: int, progress: Progress) -> dict[str, Any]:
    ground_truth, asked = judge.ground_truth, len(judge.ground_truth.users)
    models: dict[str, Any] = {}
    hits: dict[str, Hits] = {}
    for name, scores in rankers.items():

        def advance(done: int, before: int = len(models)) -> None:
            progress(before * asked + done, len(rankers) * asked)

        lists = rank_top_k(
            scores, ground_truth.users, ground_truth.past, judge.ks[-1], threads=threads, progress=advance
        )
        hits[name] = ground_truth.mark_hits(lists)
        models[name] = judge.judge(lists, hits[name])
    first, *others = hits
    return {"models": models, "differences": {name: judge.difference(hits[first], hits[name]) for name in others}}
