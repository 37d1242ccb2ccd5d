"""Compare the accuracy of the service's own choice with single models, other libraries and published results.

    python -m benchmarks.accuracy TRAIN VALID TEST [--json OUT] [--seconds 480] [--refit] [--known] [--each] [--peers]
        [--question new] [--seed 2009]

The files are TSV with a header line: user, item, and optionally weight (plays) and time (UNIX seconds). Everything is
chosen on VALID and fitted on TRAIN (with --refit on both, as the nightly training does). Where VALID has far fewer
tracks per listener than TEST (below two fifths), tracks of TRAIN are moved to it until the choice is made, so that it
is made on as many held-out tracks as the models are judged on; docs/explanation/measurements.md shows what that does,
and --choose-on forces or prevents it. For each listener of TEST all tracks are ranked except those fitted on; with
"--question all" these too, and with "repeats" no others. "default" is what the service would publish after tuning for
--seconds. Models are measured; what the service adds for cold listeners is not a part of them.
"""

from __future__ import annotations

import argparse
import json
import os
import resource
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
from tqdm import tqdm

from benchmarks import peers
from benchmarks.split_files import ThreeWaySplit, read_split
from engine.data.user_item_pairs import binary_matrix
from engine.ensemble import EnsembleConfig
from engine.evaluation.ground_truth import GroundTruth, known_users_only
from engine.evaluation.metrics import ndcg, recall
from engine.evaluation.questions import NEW, QUESTIONS
from engine.evaluation.ranking import Scorer, rank_top_k
from engine.fitting import fit_ensemble
from engine.tuning import Trial, tune
from engine.tuning.validation_metric import ValidationMetric

CUTOFFS = (10, 20, 40)
FAR_SMALLER = 0.4  # share of the held-out tracks per listener of TEST, below which VALID gets tracks of TRAIN
PUBLISHED = {
    # As reported for LightGCN++ (RecSys 2024) and NCL++ with 64 factors: recall@10, NDCG@10, recall@40, NDCG@40.
    "lastfm-split": [
        ("BPR-MF (published)", 0.1361, 0.1532, None, None),
        ("LightGCN (published)", 0.1741, 0.1996, 0.3481, 0.2854),
        ("XSimGCL (published)", 0.1801, 0.2062, None, None),
        ("LightGCN++ (published)", 0.1889, 0.2171, 0.3745, 0.3083),
        ("NCL++ (published)", 0.1894, 0.2177, None, None),
    ]
}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    for name in ("train", "valid", "test"):
        parser.add_argument(name, type=Path)
    parser.add_argument("--json", type=Path, help="where to write the results")
    parser.add_argument("--seconds", type=float, default=480, help="how long to tune")
    parser.add_argument("--refit", action="store_true", help="after the choice, fit on TRAIN and VALID together")
    parser.add_argument("--choose-on", choices=("auto", "given", "like-test"), default="auto", help="see above")
    parser.add_argument("--peers", action="store_true", help="also measure implicit and LensKit")
    parser.add_argument("--peer-seconds", type=float, default=180, help="how long to tune implicit")
    parser.add_argument("--question", choices=QUESTIONS, default=NEW, help="what is relevant; by default new tracks")
    parser.add_argument("--recipe", type=Path, help="also measure the ensemble in this JSON file")
    parser.add_argument("--known", action="store_true", help="evaluate on listeners with plays to learn from only")
    parser.add_argument("--seed", type=int, default=2009, help="of the search and of all fits")
    parser.add_argument("--each", action="store_true", help="also measure the best trial of each family")
    options = parser.parse_args()
    results = list(measure(read_split(options.train, options.valid, options.test), options))
    print_table(results, PUBLISHED.get(options.train.resolve().parent.name, []))
    if options.json:
        options.json.write_text(json.dumps({"models": results}, indent=2) + "\n")


def measure(split: ThreeWaySplit, options: argparse.Namespace) -> Iterator[dict[str, Any]]:
    """Yield one row of results for each model, the default first."""
    start = time.perf_counter()
    is_far_smaller = split.validation_share < FAR_SMALLER
    move = options.choose_on == "like-test" or (options.choose_on == "auto" and is_far_smaller)
    to_choose_on = split.with_validation_like_test(options.seed) if move else split
    with tqdm(total=int(options.seconds), desc="tuning", unit="s", file=sys.stderr) as bar:
        tuned = tune(
            to_choose_on.train,
            to_choose_on.valid,
            split.shape,
            seconds=options.seconds,
            question=options.question,
            seed=options.seed,
            progress=lambda done, total: bar.update(done - bar.n),
        )
    seconds = time.perf_counter() - start
    chosen = tuned.ensemble
    print(f"chosen: {chosen.algorithm}, NDCG@10 on VALID {tuned.score:.4f}, in {seconds:.0f} s", file=sys.stderr)
    print(json.dumps(chosen.to_dict()), file=sys.stderr)
    final = split.with_validation_in_training() if options.refit else split
    past, future = binary_matrix(final.train, final.shape), binary_matrix(final.test, final.shape)
    if options.known:
        future = known_users_only(past, future)
    ground_truth = GroundTruth.from_matrices(past, future, None, options.seed, options.question)
    print(f"{len(ground_truth.users):,} listeners to evaluate on, {final.shape[1]:,} tracks", file=sys.stderr)
    extra = {"tune_seconds": round(seconds, 1), "recipe": chosen.to_dict(), "valid_ndcg@10": tuned.score}
    yield measure_ensemble("default", chosen, final, ground_truth, options.seed) | extra
    popularity = ground_truth.popularity
    yield measure_scorer("most popular", lambda users: np.tile(popularity, (len(users), 1)), 0.0, ground_truth)
    if options.recipe:
        by_hand = EnsembleConfig.from_dict(json.loads(options.recipe.read_text()))
        yield measure_ensemble("tuned by hand", by_hand, final, ground_truth, options.seed)
    if options.each:
        best: dict[str, Trial] = {}
        for trial in sorted((t for t in tuned.trials if t.score is not None), key=lambda t: t.score or 0.0):
            best[trial.component.trainer.family] = trial
        for family, trial in sorted(best.items(), key=lambda item: -(item[1].score or 0.0)):
            yield measure_ensemble(
                f"{family}, tuned", EnsembleConfig((trial.component,)), final, ground_truth, options.seed
            )
    if options.peers:
        metric = ValidationMetric.from_pairs(
            to_choose_on.train, to_choose_on.valid, split.shape, options.seed, question=options.question
        )
        train = binary_matrix(to_choose_on.train, split.shape)
        for peer in (
            peers.fit_implicit_with_tutorial_settings(past),
            peers.fit_implicit_bpr(past),
            peers.tune_implicit(train, metric.mean_ndcg, options.peer_seconds),
            peers.fit_lenskit(past),
        ):
            if peer is not None:
                yield measure_scorer(peer.name, peer.scorer, peer.fit_seconds, ground_truth)


def measure_ensemble(
    name: str, ensemble: EnsembleConfig, split: ThreeWaySplit, ground_truth: GroundTruth, seed: int
) -> dict[str, Any]:
    """Fit an ensemble on the training data, and return its row of results."""
    start = time.perf_counter()
    fitted = fit_ensemble(split.train, split.shape, ensemble, seed=seed)
    seconds = time.perf_counter() - start
    if fitted.fallback:
        print(f"{name}: {fitted.fallback}", file=sys.stderr)
    return measure_scorer(name, fitted.build_scorer(), seconds, ground_truth)


def measure_scorer(name: str, scorer: Scorer, fit_seconds: float, ground_truth: GroundTruth) -> dict[str, Any]:
    """Return the mean metrics over all listeners with relevant tracks.

    As when serving, tracks that the model does not recommend are ranked by popularity, after all those it does, and
    listeners without a past get popular tracks.
    """
    has_past = np.diff(ground_truth.past.indptr) > 0
    popularity = ground_truth.popularity.astype(np.float64) / (ground_truth.popularity.max() + 1) - 1e6

    def with_popularity_fallback(users: np.ndarray) -> np.ndarray:
        scores = scorer(users)
        is_recommended = np.isfinite(scores) & has_past[users, None]
        return np.where(is_recommended, scores.astype(np.float64), popularity)

    lists = rank_top_k(
        with_popularity_fallback,
        ground_truth.users,
        ground_truth.past,
        CUTOFFS[-1],
        question=ground_truth.question,
    )
    hits, relevant = ground_truth.mark_hits(lists), ground_truth.relevant_counts()
    means = {"recall": recall(hits, relevant, CUTOFFS), "ndcg": ndcg(hits, relevant, CUTOFFS)}
    metrics = {
        f"{metric}@{k}": round(float(value), 5)
        for metric, values in means.items()
        for k, value in zip(CUTOFFS, values.mean(axis=0), strict=True)
    }
    return {"name": name, **metrics, "fit_seconds": round(fit_seconds, 2)}


def print_table(results: list[dict[str, Any]], published: list[tuple[str, Any, Any, Any, Any]]) -> None:
    print("| model | Recall@10 | NDCG@10 | Recall@20 | NDCG@20 | Recall@40 | NDCG@40 | fit, s |")
    print("|---|---|---|---|---|---|---|---|")
    for result in results:
        cells = [f"{result[f'{metric}@{k}']:.4f}" for k in CUTOFFS for metric in ("recall", "ndcg")]
        print(f"| {result['name']} | {' | '.join(cells)} | {result['fit_seconds']:.1f} |")
    for name, r10, n10, r40, n40 in published:
        cells = ["" if v is None else f"{v:.4f}" for v in (r10, n10, None, None, r40, n40)]
        print(f"| {name} | {' | '.join(cells)} | |")
    peak_megabytes = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    print(f"\n{os.cpu_count()} cores; peak memory {peak_megabytes:,.0f} MB")


if __name__ == "__main__":
    main()
