"""Measure what personal slates gain by the current session, and which weight its source should have.

    python -m benchmarks.session_weight events EVENTS.tsv [--plays 2000] [--json OUT]
    python -m benchmarks.session_weight sessions SESSIONS.txt [--plays 2000] [--json OUT]

The files are those of `benchmarks.next_track`. Plays are cut by time: 80 % are the past of the validation, whose
sessions are the next 10 %; the test are the last 10 %, with everything before as the past. For a sample of the plays
of these sessions but the first ones, the slate of 20 tracks is built that the listener would get after the play before,
with each weight of the source "session" in the policies "personal" and "early". Recall@20 is the share of plays that
are on it. Slates have no repeats of the session, and one track in five that the listener knows, as by default.
In "sessions" each session is a listener of its own, without a history.
"""

from __future__ import annotations

import argparse
import csv
import json
import sys
import time
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.next_track import read_sessions
from engine.bundle.model_bundle import ModelBundle, assemble_bundle
from engine.data.confidence import PlayStatistics
from engine.data.id_map import IdMap
from engine.data.plays import Plays
from engine.data.sessions import sessions_from_plays
from engine.data.user_item_pairs import UserItemPairs, count_listeners
from engine.ensemble import ComponentConfig, EnsembleConfig
from engine.evaluation.sequences import rank_in_slates, with_session_weight
from engine.fitting import fit_ensemble
from engine.models.ials import IALS
from engine.pipeline import POLICIES
from engine.training import fit_sequence

SEED = 2009
WEIGHTS = (0.0, 0.25, 0.5, 1.0, 1.5, 2.0, 3.0, 5.0, 10.0)
ENSEMBLE = EnsembleConfig((ComponentConfig(IALS()),))
DAY = 86_400


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("kind", choices=("events", "sessions"))
    parser.add_argument("file", type=Path)
    parser.add_argument("--plays", type=int, default=2_000, help="how many plays to look for in slates")
    parser.add_argument("--json", type=Path, help="where to write the results")
    options = parser.parse_args()
    plays = read_event_plays(options.file) if options.kind == "events" else read_session_plays(options.file)
    results = {}
    for name, end in (("validation", 0.9), ("test", 1.0)):
        until = plays.where(plays.time <= np.quantile(plays.time, end))
        results[name] = measure(name, until, 0.1 / end, options.plays)
    if options.json:
        options.json.write_text(json.dumps(results, indent=2) + "\n")


def measure(name: str, plays: Plays, holdout: float, count: int) -> dict[str, dict[str, float]]:
    """Print and return Recall@20 and MRR@20 for each weight, on the newest share of the plays."""
    started = time.perf_counter()
    later_from = int(np.quantile(plays.time, 1 - holdout))
    past, newest = plays.where(plays.time < later_from), plays.where(plays.time >= later_from)
    items, users = IdMap.from_ids(plays.track), IdMap.from_ids(plays.user)
    bundle = fit_bundle(past, items)
    later = sessions_from_plays(newest, items, users=users).where_longer_than(1)
    sample = later.sample_plays(np.isin(items.ids, past.track), count, SEED)
    print(
        f"{name}: {len(past):,} earlier plays; {len(sample):,} plays of {len(later):,} sessions; fitted in "
        f"{time.perf_counter() - started:.0f} s",
        file=sys.stderr,
    )
    variants = {f"{weight:g}": with_session_weight(POLICIES, weight) for weight in WEIGHTS}
    ranks = rank_in_slates(bundle, variants, past, later, sample, items, users)
    results: dict[str, dict[str, Any]] = {}
    for weight, of_weight in ranks.items():
        results[weight] = of_weight.report()
        print(f"| {name} | {weight} | {of_weight.recall():.4f} | {of_weight.mrr():.4f} |", flush=True)
    return results


def fit_bundle(plays: Plays, items: IdMap) -> ModelBundle:
    """Fit an ensemble and a sequence model on plays."""
    users = IdMap.from_ids(plays.user)
    pairs = UserItemPairs.from_plays(plays, users, items)
    fitted = fit_ensemble(pairs, (len(users), len(items)), ENSEMBLE, seed=SEED, threads=1)
    return assemble_bundle(
        version="benchmark",
        items=items,
        popularity=count_listeners(pairs, len(items)),
        ensemble=ENSEMBLE,
        fitted_models=fitted.models,
        statistics=PlayStatistics.from_pairs(pairs),
        sequence=fit_sequence(plays, items, SEED)[0],
    )


def read_event_plays(path: Path) -> Plays:
    """Read plays with the columns user, track and ts."""
    with open(path, newline="") as file:
        rows = csv.DictReader(file, delimiter="\t")
        return Plays.from_rows((int(row["user"]), int(row["track"]), 1, True, int(row["ts"])) for row in rows)


def read_session_plays(path: Path) -> Plays:
    """Read sessions as plays, a minute apart, of listeners of their own; a session begins a second after the last."""
    sessions = read_sessions(path)
    number = sessions.session_of_play
    minute = np.arange(len(sessions.items)) - sessions.offsets[number]
    columns = (number, sessions.items, DAY + number + 60 * minute)
    rows = zip(*(column.tolist() for column in columns), strict=True)
    return Plays.from_rows((user, track, 1, True, at) for user, track, at in rows)


if __name__ == "__main__":
    main()
