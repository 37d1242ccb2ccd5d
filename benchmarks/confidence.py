"""Which transform of play counts, and how much of the past, is worth most: the table behind the defaults.

    python -m benchmarks.confidence [--hetrec FOLDER] [--events FOLDER] [--splits 2]

HetRec's play counts, split at random per listener into 70/10/20; 30Music's events by time. For each transform the
weight against the unobserved and its scale are chosen on the validation plays, and NDCG@10 is
measured on the test plays. One family, `ials` with 64 factors, so that the confidence is all that differs.
"""

from __future__ import annotations

import argparse
import os
from collections.abc import Iterator
from dataclasses import replace
from itertools import product
from pathlib import Path

import numpy as np

from engine.data.confidence import ConfidenceWeights
from engine.data.id_map import IdMap
from engine.data.plays import Plays
from engine.data.split import split_plays
from engine.data.user_item_pairs import UserItemPairs
from engine.ensemble import ComponentConfig, EnsembleConfig
from engine.fitting import fit_ensemble
from engine.models.ials import IALS
from engine.tuning.validation_metric import ValidationMetric

PLAIN = ConfidenceWeights(base=1.0, bonus=0.0, liked=0.0)
COUNTS: dict[str, list[ConfidenceWeights]] = {
    "every pair alike": [PLAIN],
    "log": [replace(PLAIN, transform="log", scale=s) for s in (0.3, 1.0, 3.0)],
    "capped at 20": [replace(PLAIN, transform="capped", scale=s) for s in (1.0, 3.0, 10.0)],
    "BM25": [replace(PLAIN, transform="bm25", scale=s) for s in (0.3, 1.0, 3.0)],
    "every pair alike, rarity": [replace(PLAIN, rare=True)],
    "BM25, rarity": [replace(PLAIN, transform="bm25", scale=s, rare=True) for s in (0.3, 1.0, 3.0)],
}
DECAYS = {
    f"half-life {days:g} days" if days else "no decay": [replace(PLAIN, half_life=days)] for days in (0, 10, 30, 90)
}
Parts = tuple[UserItemPairs, UserItemPairs, UserItemPairs]


def main() -> None:
    data = Path(os.environ.get("MUSICREC_DATA", "../shared/data"))
    options = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    options.add_argument("--hetrec", type=Path, default=data / "hetrec2011-lastfm-2k")
    options.add_argument("--events", type=Path, default=data / "30music-events")
    options.add_argument("--splits", type=int, default=2)
    given = options.parse_args()
    counts = hetrec(given.hetrec / "user_artists.dat")
    print_table(
        "play counts (HetRec Last.fm-2K)", COUNTS, [parts(counts, "ratio", seed) for seed in range(given.splits)]
    )
    print_table("decay (30Music, by time)", DECAYS, [parts(events(given.events / "events.tsv"), "time", 0)])


def hetrec(path: Path) -> Plays:
    user, track, weight = np.loadtxt(path, dtype=np.int64, skiprows=1, unpack=True)
    plain = np.zeros(len(user), np.bool_)
    return Plays(user, track, weight.astype(np.float32), plain, np.zeros(len(user), np.int64), plain.astype(np.int8))


def events(path: Path) -> Plays:
    user, track, time = np.loadtxt(path, dtype=np.int64, skiprows=1, usecols=(1, 3, 4), unpack=True)
    plain = np.zeros(len(user), np.bool_)
    return Plays(user, track, np.ones(len(user), np.float32), plain, time, plain.astype(np.int8))


def parts(plays: Plays, kind: str, seed: int) -> tuple[Parts, tuple[int, int]]:
    users, items = IdMap.from_ids(plays.user), IdMap.from_ids(plays.track)
    first = split_plays(plays, kind, 0.2, seed)
    second = split_plays(first.past, kind, 0.125, seed)
    train, valid, test = (UserItemPairs.from_plays(p, users, items) for p in (second.past, second.future, first.future))
    return (train, valid, test), (len(users), len(items))


def candidates(confidences: list[ConfidenceWeights]) -> Iterator[EnsembleConfig]:
    for confidence, unobserved in product(confidences, (0.05, 0.15, 0.4)):
        trainer = IALS(factors=64, iterations=10, unobserved=unobserved)
        yield EnsembleConfig((ComponentConfig(trainer, confidence),))


def print_table(
    title: str, rows: dict[str, list[ConfidenceWeights]], splits: list[tuple[Parts, tuple[int, int]]]
) -> None:
    print(f"\n| {title} | NDCG@10 | of the first row | chosen in the first split |\n|---|---|---|---|", flush=True)
    first = 0.0
    for name, confidences in rows.items():
        results = [best(confidences, *one) for one in splits]
        mean = float(np.mean([score for score, _ in results]))
        first = first or mean
        c, t = results[0][1].components[0].confidence, results[0][1].components[0].trainer
        chosen = f"scale {c.scale:g}, unobserved {t.unobserved:g}"  # type: ignore[attr-defined]
        print(f"| {name} | {mean:.4f} | {mean / first:.3f} | {chosen} |", flush=True)


def best(confidences: list[ConfidenceWeights], pairs: Parts, shape: tuple[int, int]) -> tuple[float, EnsembleConfig]:
    """NDCG@10 on the test plays of what was best on the validation plays."""
    train, valid, test = pairs
    chooser, judge = (
        ValidationMetric.from_pairs(train, valid, shape, 0),
        ValidationMetric.from_pairs(train, test, shape, 0),
    )
    scorers = [
        (fit_ensemble(train, shape, recipe, seed=1).build_scorer(), recipe) for recipe in candidates(confidences)
    ]
    scorer, recipe = max(scorers, key=lambda one: chooser.mean_ndcg(one[0]))
    return judge.mean_ndcg(scorer), recipe


if __name__ == "__main__":
    main()
