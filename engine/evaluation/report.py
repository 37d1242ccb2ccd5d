"""Build the JSON report of the metrics of each model."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import scipy.sparse as sp
from numpy.typing import NDArray

from engine.evaluation.beyond_accuracy import (
    artist_exposure,
    coverage,
    exposure_counts,
    gini,
    intra_list_diversity,
    list_means,
    novelty,
    popularity_gap,
)
from engine.evaluation.bootstrap import Interval, ResampleCounts, mean_intervals, statistic_intervals
from engine.evaluation.ground_truth import GroundTruth
from engine.evaluation.metrics import Hits, PerUserMetric, accuracy_metrics
from engine.evaluation.segments import Mask

Lists = NDArray[np.int64]
AGGREGATE_RESAMPLES = 50  # for coverage and Gini, because each resample counts all lists anew
_COMPARED = ("ndcg@", "recall@")


@dataclass(frozen=True)
class ReportBuilder:
    """A builder of reports that uses the same ground truth, resamples, segments and samples for all models.

    Attributes:
        ground_truth: of n users.
        ks: cut-offs, ascending.
        resamples: uint8 (resamples, n), see `draw_resamples`.
        item_vectors: CSR float32 (items, users), see `beyond_accuracy.item_vectors`.
        user_segments: bool (n,) by name.
        item_segments: bool (items,) by name.
        seed: of the sample of lists whose diversity is measured.
    """

    ground_truth: GroundTruth
    ks: Sequence[int]
    resamples: ResampleCounts
    item_vectors: sp.csr_matrix
    user_segments: Mapping[str, Mask]
    item_segments: Mapping[str, Mask]
    seed: int

    def report_model(self, lists: Lists, hits: Hits, is_personal: Mask) -> dict[str, Any]:
        """Report one model's metrics, for all users and by segment: `{"metrics": {…}, "segments": {…}}`.

        Args:
            lists: int64 (n, max(ks)), recommended item rows, best first, -1 where a list is shorter.
            hits: bool (n, max(ks)), whether each of them is relevant.
            is_personal: bool (n,), who got a personal list.
        """
        relevant_counts = self.ground_truth.relevant_counts()
        per_user = accuracy_metrics(hits, relevant_counts, self.ks) | {"personalised": is_personal.astype(np.float64)}
        per_user |= self._metrics_beyond_accuracy(lists)
        by_user_segment = {
            name: self._report_segment(hits, relevant_counts * mask) for name, mask in self.user_segments.items()
        }
        by_item_segment = {
            name: self._report_segment(hits & mask[lists], self.ground_truth.relevant_counts(mask))
            for name, mask in self.item_segments.items()
        }
        return {
            "metrics": intervals_to_json(mean_intervals(per_user, self.resamples) | self._aggregate_intervals(lists)),
            "segments": by_user_segment | by_item_segment,
        }

    def report_difference(self, hits: Hits, other_hits: Hits) -> dict[str, Any]:
        """Report how much better `hits` are than `other_hits`, paired by user, in NDCG and recall."""
        relevant_counts = self.ground_truth.relevant_counts()
        metrics, other_metrics = (accuracy_metrics(h, relevant_counts, self.ks) for h in (hits, other_hits))
        differences = {name: metrics[name] - other_metrics[name] for name in metrics if name.startswith(_COMPARED)}
        return intervals_to_json(mean_intervals(differences, self.resamples))

    def _metrics_beyond_accuracy(self, lists: Lists) -> dict[str, PerUserMetric]:
        popularity = self.ground_truth.popularity
        users_with_past = int(np.count_nonzero(np.diff(self.ground_truth.past.indptr)))
        metrics = {
            "novelty": list_means(novelty(popularity, users_with_past), lists, self.ks),
            "diversity": intra_list_diversity(self.item_vectors, lists, self.ks, self.seed),
            "popularity": list_means(popularity, lists, self.ks),
            "popularity_gap": popularity_gap(popularity, self.ground_truth.user_pasts(), lists, self.ks),
        }
        return {
            f"{name}@{k}": column
            for name, columns in metrics.items()
            for k, column in zip(self.ks, columns.T, strict=True)
        }

    def _aggregate_intervals(self, lists: Lists) -> dict[str, Interval]:
        """Return coverage and the Gini indexes, which are properties of all lists together."""
        artist = self.ground_truth.artist
        resamples = self.resamples[:AGGREGATE_RESAMPLES]
        intervals: dict[str, Interval] = {}
        for k in self.ks:

            def coverage_and_gini(weights: ResampleCounts, lists_at_k: Lists = lists[:, :k]) -> NDArray[np.float64]:
                exposure = exposure_counts(lists_at_k, weights, len(self.ground_truth.popularity))
                columns = [coverage(exposure, self.ground_truth.popularity > 0), gini(exposure)]
                if artist is not None:
                    columns.append(gini(artist_exposure(exposure, artist)))
                return np.stack(columns, axis=1)

            names = [f"{name}@{k}" for name in ("coverage", "gini", "artist_gini")]
            intervals |= dict(zip(names, statistic_intervals(coverage_and_gini, resamples), strict=False))
        return intervals

    def _report_segment(self, hits: Hits, relevant_counts: NDArray[np.int64]) -> dict[str, Any]:
        """Report the users to whom anything of the segment is relevant."""
        users = relevant_counts > 0
        metrics = accuracy_metrics(hits[users], relevant_counts[users], self.ks)
        return {
            "listeners": int(users.sum()),
            "metrics": intervals_to_json(mean_intervals(metrics, self.resamples[:, users])),
        }


def intervals_to_json(intervals: Mapping[str, Interval]) -> dict[str, dict[str, float]]:
    """Return the intervals as dicts of numbers rounded to five decimals."""
    return {
        name: {field: round(value, 5) for field, value in interval._asdict().items()}
        for name, interval in intervals.items()
    }
