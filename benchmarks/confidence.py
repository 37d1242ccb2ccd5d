"""Compare transforms of play counts and half-lives: the table that the default confidence weights are based on.

    python -m benchmarks.confidence [--hetrec FOLDER] [--events FOLDER] [--splits 2]

The play counts of HetRec are split at random per listener into 70/10/20, the events of 30Music by time. For each
transform, its scale and the weight of unobserved pairs are chosen on the validation data, and NDCG@10 is measured on
the test data. The model is always `ials` with 64 factors, so that only the confidence differs.
"""

from __future__ import annotations

import argparse
import os
from dataclasses import replace
from itertools import product
from pathlib import Path

import numpy as np

from benchmarks.split_files import ThreeWaySplit
from engine.data.confidence import ConfidenceWeights
from engine.data.id_map import IdMap
from engine.data.plays import Plays
from engine.data.split import split_plays
from engine.data.user_item_pairs import UserItemPairs
from engine.ensemble import ComponentConfig, EnsembleConfig
from engine.fitting import fit_ensemble
from engine.models.ials import IALS
from engine.tuning.validation_metric import ValidationMetric

EQUAL = ConfidenceWeights(base=1.0, bonus=0.0, liked=0.0)
TRANSFORMS: dict[str, list[ConfidenceWeights]] = {
    "every pair alike": [EQUAL],
    "log": [replace(EQUAL, transform="log", scale=s) for s in (0.3, 1.0, 3.0)],
    "capped at 20": [replace(EQUAL, transform="capped", scale=s) for s in (1.0, 3.0, 10.0)],
    "BM25": [replace(EQUAL, transform="bm25", scale=s) for s in (0.3, 1.0, 3.0)],
    "every pair alike, rarity": [replace(EQUAL, rare=True)],
    "BM25, rarity": [replace(EQUAL, transform="bm25", scale=s, rare=True) for s in (0.3, 1.0, 3.0)],
}
HALF_LIVES = {
    f"half-life {days:g} days" if days else "no decay": [replace(EQUAL, half_life=days)] for days in (0, 10, 30, 90)
}
UNOBSERVED_RATIOS = (10.0, 30.0, 90.0)


def main() -> None:
    data = Path(os.environ.get("MUSICREC_DATA", "../shared/data"))
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--hetrec", type=Path, default=data / "hetrec2011-lastfm-2k")
    parser.add_argument("--events", type=Path, default=data / "30music-events")
    parser.add_argument("--splits", type=int, default=2, help="random splits of HetRec to average over")
    options = parser.parse_args()
    counts = read_hetrec(options.hetrec / "user_artists.dat")
    random_splits = [split_three_ways(counts, "ratio", seed) for seed in range(options.splits)]
    print_table("play counts (HetRec Last.fm-2K)", TRANSFORMS, random_splits)
    events = read_events(options.events / "events.tsv")
    print_table("decay (30Music, by time)", HALF_LIVES, [split_three_ways(events, "time", 0)])


def read_hetrec(path: Path) -> Plays:
    user, track, weight = np.loadtxt(path, dtype=np.int64, skiprows=1, unpack=True)
    zeros = np.zeros(len(user), np.bool_)
    return Plays(user, track, weight.astype(np.float32), zeros, np.zeros(len(user), np.int64), zeros.astype(np.int8))


def read_events(path: Path) -> Plays:
    user, track, time = np.loadtxt(path, dtype=np.int64, skiprows=1, usecols=(1, 3, 4), unpack=True)
    zeros = np.zeros(len(user), np.bool_)
    return Plays(user, track, np.ones(len(user), np.float32), zeros, time, zeros.astype(np.int8))


def split_three_ways(plays: Plays, kind: str, seed: int) -> ThreeWaySplit:
    """Split into 70 % training, 10 % validation and 20 % test data."""
    users, items = IdMap.from_ids(plays.user), IdMap.from_ids(plays.track)
    outer = split_plays(plays, kind, 0.2, seed)
    inner = split_plays(outer.past, kind, 0.125, seed)
    parts = (inner.past, inner.future, outer.future)
    train, valid, test = (UserItemPairs.from_plays(part, users, items) for part in parts)
    return ThreeWaySplit(train, valid, test, (len(users), len(items)))


def print_table(title: str, rows: dict[str, list[ConfidenceWeights]], splits: list[ThreeWaySplit]) -> None:
    print(f"\n| {title} | NDCG@10 | of the first row | chosen in the first split |\n|---|---|---|---|", flush=True)
    baseline = 0.0
    for name, confidences in rows.items():
        results = [measure_best(confidences, split) for split in splits]
        mean = float(np.mean([score for score, _ in results]))
        baseline = baseline or mean
        component = results[0][1]
        chosen = f"scale {component.confidence.scale:g}, unobserved ratio {component.trainer.unobserved_ratio:g}"  # type: ignore[attr-defined]
        print(f"| {name} | {mean:.4f} | {mean / baseline:.3f} | {chosen} |", flush=True)


def measure_best(confidences: list[ConfidenceWeights], split: ThreeWaySplit) -> tuple[float, ComponentConfig]:
    """Choose on the validation data; return NDCG@10 on the test data, and what was chosen."""
    validation = ValidationMetric.from_pairs(split.train, split.valid, split.shape, 0)
    test = ValidationMetric.from_pairs(split.train, split.test, split.shape, 0)
    candidates = []
    for confidence, ratio in product(confidences, UNOBSERVED_RATIOS):
        component = ComponentConfig(IALS(factors=64, iterations=10, unobserved_ratio=ratio), confidence)
        fitted = fit_ensemble(split.train, split.shape, EnsembleConfig((component,)), seed=1)
        candidates.append((fitted.build_scorer(), component))
    scorer, component = max(candidates, key=lambda candidate: validation.mean_ndcg(candidate[0]))
    return test.mean_ndcg(scorer), component


if __name__ == "__main__":
    main()
