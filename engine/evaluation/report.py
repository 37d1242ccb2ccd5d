"""All numbers of one model's lists, as JSON."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np
import scipy.sparse as sp
from numpy.typing import NDArray

from engine.evaluation.beyond_accuracy import coverage, exposure_counts, gini, intra_list_diversity, list_means, novelty
from engine.evaluation.bootstrap import Interval, ResampleCounts, mean_intervals, statistic_intervals
from engine.evaluation.ground_truth import GroundTruth
from engine.evaluation.metrics import Hits, PerUserMetric, accuracy_metrics
from engine.evaluation.segments import Mask

Lists = NDArray[np.int64]
AGGREGATE_RESAMPLES = 50  # of coverage and Gini, since each counts all lists anew
_COMPARED = ("ndcg@", "recall@")


@dataclass(frozen=True)
class ReportBuilder:
    """What all models are judged by: the same question, cut-offs, resamples, segments and sample of lists.

    ks: ascending · draws: see `bootstrap.draw` · vectors: see `beyond_accuracy.track_vectors` · listener_segments: bool
    (n,) each, of those asked about · track_segments: bool (items,) each.
    """

    ground_truth: GroundTruth
    ks: Sequence[int]
    draws: ResampleCounts
    vectors: sp.csr_matrix
    listener_segments: Mapping[str, Mask]
    track_segments: Mapping[str, Mask]
    seed: int

    def judge(self, lists: Lists, hits: Hits) -> dict[str, Any]:
        """`{"metrics": {…}, "segments": {…}}` of lists int64 (n, max(ks)), -1 where one ends early, and their hits."""
        values = accuracy_metrics(hits, self.ground_truth.relevant_counts(), self.ks) | self._beyond_accuracy(lists)
        metrics = mean_intervals(values, self.draws) | self._aggregates(lists)
        return {"metrics": as_json(metrics), "segments": self._segments(lists, hits)}

    def difference(self, one: Hits, other: Hits) -> dict[str, Any]:
        """How much better the lists with the hits of `one` are, listener by listener, in NDCG and recall."""
        first, second = (accuracy_metrics(hits, self.ground_truth.relevant_counts(), self.ks) for hits in (one, other))
        paired = {name: first[name] - second[name] for name in first if name.startswith(_COMPARED)}
        return as_json(mean_intervals(paired, self.draws))

    def _beyond_accuracy(self, lists: Lists) -> dict[str, PerUserMetric]:
        popularity, users = self.ground_truth.popularity, int(np.count_nonzero(np.diff(self.ground_truth.past.indptr)))
        columns = {
            "novelty": list_means(novelty(popularity, users), lists, self.ks),
            "diversity": intra_list_diversity(self.vectors, lists, self.ks, self.seed),
            "popularity": list_means(popularity, lists, self.ks),
        }
        named = {f"{name}@{k}": column for name, of in columns.items() for k, column in zip(self.ks, of.T, strict=True)}
        return {"personalised": (lists[:, 0] >= 0).astype(np.float64)} | named

    def _aggregates(self, lists: Lists) -> dict[str, Interval]:
        draws = self.draws[:AGGREGATE_RESAMPLES]
        of = {k: statistic_intervals(partial(self._exposed, lists[:, :k]), draws) for k in self.ks}
        return {f"{name}@{k}": i for k in self.ks for name, i in zip(("coverage", "gini"), of[k], strict=True)}

    def _exposed(self, lists: Lists, weights: ResampleCounts) -> NDArray[np.float64]:
        """Columns coverage, Gini: float64 (r, 2)."""
        exposed = exposure_counts(lists, weights, len(self.ground_truth.popularity))
        return np.stack([coverage(exposed, self.ground_truth.popularity > 0), gini(exposed)], axis=1)

    def _segments(self, lists: Lists, hits: Hits) -> dict[str, Any]:
        relevant = self.ground_truth.relevant_counts()
        of_listeners = {name: self._segment(hits, relevant * mask) for name, mask in self.listener_segments.items()}
        of_tracks = {
            name: self._segment(hits & mask[lists], self.ground_truth.relevant_counts(mask))
            for name, mask in self.track_segments.items()
        }
        return of_listeners | of_tracks

    def _segment(self, hits: Hits, relevant: NDArray[np.int64]) -> dict[str, Any]:
        """Of those listeners to whom anything is relevant."""
        inside = relevant > 0
        values = accuracy_metrics(hits[inside], relevant[inside], self.ks)
        return {"listeners": int(inside.sum()), "metrics": as_json(mean_intervals(values, self.draws[:, inside]))}


def as_json(intervals: Mapping[str, Interval]) -> dict[str, dict[str, float]]:
    """Numbers of five digits after the point."""
    return {name: {k: round(v, 5) for k, v in i._asdict().items()} for name, i in intervals.items()}
