"""How accurate the service's own choice is, beside its parts, peers and published results.

    python -m benchmarks.accuracy TRAIN VALID TEST [--json OUT] [--seconds 480] [--refit] [--known] [--each] [--peers]

Three TSV files with a header line: user, item, and where they exist weight (plays) and time (UNIX seconds). Everything
is chosen on VALID and fitted on TRAIN (with --refit on both, as the nightly run does); all items but the fitted ones
are ranked for each listener of TEST. "default" is what the service would publish after tuning itself for --seconds.
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
from engine.evaluation.ranking import Scorer, rank_top_k
from engine.fitting import fit_ensemble
from engine.tuning import Trial, tune
from engine.tuning.validation_metric import ValidationMetric

KS = (10, 20, 40)
SEED = 2009
PUBLISHED = {
    "lastfm-split": [  # as in LightGCN++ (RecSys 2024) and NCL++; 64 factors
        ("BPR-MF (published)", 0.1361, 0.1532, None, None),
        ("LightGCN (published)", 0.1741, 0.1996, 0.3481, 0.2854),
        ("XSimGCL (published)", 0.1801, 0.2062, None, None),
        ("LightGCN++ (published)", 0.1889, 0.2171, 0.3745, 0.3083),
        ("NCL++ (published)", 0.1894, 0.2177, None, None),
    ]
}


def main() -> None:
    options = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    for name in ("train", "valid", "test"):
        options.add_argument(name, type=Path)
    options.add_argument("--json", type=Path, help="where to write the results")
    options.add_argument("--seconds", type=float, default=480, help="the time that tuning may take")
    options.add_argument("--refit", action="store_true", help="once chosen, fit TRAIN and VALID together")
    options.add_argument("--peers", action="store_true", help="measure implicit and LensKit too")
    options.add_argument("--peer-seconds", type=float, default=180, help="the time that tuning implicit may take")
    options.add_argument("--recipe", type=Path, help="a JSON file with a recipe tuned by hand, measured too")
    options.add_argument("--known", action="store_true", help="ask only about listeners with plays to learn from")
    options.add_argument("--each", action="store_true", help="measure the best of each family too")
    given = options.parse_args()
    models = list(measure(read_split(given.train, given.valid, given.test), given))
    print_table(models, PUBLISHED.get(given.train.resolve().parent.name, []))
    if given.json:
        given.json.write_text(json.dumps({"models": models}, indent=2) + "\n")


def measure(triple: ThreeWaySplit, given: argparse.Namespace) -> Iterator[dict[str, Any]]:
    """A row a model, the default first."""
    began = time.perf_counter()
    with tqdm(total=int(given.seconds), desc="tuning", unit="s", file=sys.stderr) as bar:
        tuned = tune(
            triple.train,
            triple.valid,
            triple.shape,
            seconds=given.seconds,
            seed=SEED,
            progress=lambda done, total: bar.update(done - bar.n),
        )
    tuning = time.perf_counter() - began
    print(f"chosen: {tuned.ensemble.algorithm}, NDCG@10 on VALID {tuned.score:.4f}, in {tuning:.0f} s", file=sys.stderr)
    print(json.dumps(tuned.ensemble.to_dict()), file=sys.stderr)
    last = triple.learnt() if given.refit else triple
    past, future = binary_matrix(last.train, last.shape), binary_matrix(last.test, last.shape)
    if given.known:
        future = known_users_only(past, future)
    ground_truth = GroundTruth.from_matrices(past, future, None, SEED)
    print(f"{len(ground_truth.users):,} listeners asked about, {last.shape[1]:,} tracks", file=sys.stderr)
    extra = {"tune_seconds": round(tuning, 1), "recipe": tuned.ensemble.to_dict(), "valid_ndcg@10": tuned.score}
    yield of_recipe("default", tuned.ensemble, last, ground_truth) | extra
    yield row("most popular", lambda users: np.tile(ground_truth.popularity, (len(users), 1)), 0.0, ground_truth)
    if given.recipe:
        yield of_recipe(
            "tuned by hand", EnsembleConfig.from_dict(json.loads(given.recipe.read_text())), last, ground_truth
        )
    if given.each:
        for trial in best_of_each(tuned.trials):
            yield of_recipe(
                f"{trial.component.trainer.family}, tuned", EnsembleConfig((trial.component,)), last, ground_truth
            )
    if given.peers:
        yield of_peer(peers.implicit_naive(past), ground_truth)
        yield of_peer(peers.implicit_bpr(past), ground_truth)
        metric = ValidationMetric.from_pairs(triple.train, triple.valid, triple.shape, SEED)
        chosen = peers.implicit_tuned(binary_matrix(triple.train, triple.shape), metric.mean_ndcg, given.peer_seconds)
        yield of_peer(chosen, ground_truth)
        for peer in peers.lenskit(past):
            yield of_peer(peer, ground_truth)


def best_of_each(trials: tuple[Trial, ...]) -> list[Trial]:
    best: dict[str, Trial] = {}
    for trial in sorted((t for t in trials if t.score is not None), key=lambda t: t.score or 0.0):
        best[trial.component.trainer.family] = trial
    return sorted(best.values(), key=lambda t: -(t.score or 0.0))


def of_recipe(name: str, recipe: EnsembleConfig, triple: ThreeWaySplit, ground_truth: GroundTruth) -> dict[str, Any]:
    began = time.perf_counter()
    fitted = fit_ensemble(triple.train, triple.shape, recipe, seed=SEED)
    seconds = time.perf_counter() - began
    if fitted.fallback:
        print(f"{name}: {fitted.fallback}", file=sys.stderr)
    return row(name, fitted.build_scorer(), seconds, ground_truth)


def of_peer(peer: peers.Peer, ground_truth: GroundTruth) -> dict[str, Any]:
    return row(peer.name, peer.scores, peer.fit_seconds, ground_truth)


def row(name: str, scores: Scorer, seconds: float, ground_truth: GroundTruth) -> dict[str, Any]:
    """Metrics over everybody with something to find; who is offered nothing gets what is popular."""
    lists = rank_top_k(_filled(scores, ground_truth), ground_truth.users, ground_truth.past, KS[-1])
    hits, relevant = ground_truth.mark_hits(lists), ground_truth.relevant_counts()
    measured = {"recall": recall(hits, relevant, KS).mean(axis=0), "ndcg": ndcg(hits, relevant, KS).mean(axis=0)}
    by_k = {f"{metric}@{k}": round(float(v), 5) for metric, vs in measured.items() for k, v in zip(KS, vs, strict=True)}
    return {"name": name, **by_k, "fit_seconds": round(seconds, 2)}


def _filled(scores: Scorer, ground_truth: GroundTruth) -> Scorer:
    """As the service fills its page: below whatever a model offers comes what is popular."""
    floor = ground_truth.popularity.astype(np.float64) / (ground_truth.popularity.max() + 1) - 1e6

    def filled(users: np.ndarray) -> np.ndarray:
        page = scores(users)
        return np.where(np.isfinite(page), page.astype(np.float64), floor)

    return filled


def print_table(models: list[dict[str, Any]], published: list[tuple[str, Any, Any, Any, Any]]) -> None:
    print("| model | Recall@10 | NDCG@10 | Recall@20 | NDCG@20 | Recall@40 | NDCG@40 | fit, s |")
    print("|---|---|---|---|---|---|---|---|")
    for m in models:
        cells = [f"{m[f'{metric}@{k}']:.4f}" for k in KS for metric in ("recall", "ndcg")]
        print(f"| {m['name']} | {' | '.join(cells)} | {m['fit_seconds']:.1f} |")
    for name, r10, n10, r40, n40 in published:
        cells = ["" if v is None else f"{v:.4f}" for v in (r10, n10, None, None, r40, n40)]
        print(f"| {name} | {' | '.join(cells)} | |")
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    print(f"\n{os.cpu_count()} cores; peak memory {peak:,.0f} MB")


if __name__ == "__main__":
    main()
