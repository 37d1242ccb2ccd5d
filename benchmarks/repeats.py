"""Compare models of what listeners play next, repeats included, and of the new tracks among it.

    python -m benchmarks.repeats EVENTS [--seconds 240] [--plays 15] [--threads 0] [--json OUT]

EVENTS is a TSV file with the columns user, track and ts (UNIX seconds), such as the events of 30Music; each line is a
play. The last fifth of the plays of each listener, rounded down, is the test; the last fifth of the others the
validation. Models learn from the plays of all listeners. Those count who have at least --plays plays, by default 15, of
which three are held out, and among these a relevant track: any track for the question "all", and one that they had not
played before for "new". All tracks are ranked, and places for which a model has no track are filled with the most
popular ones.

Everything is chosen on the validation plays: "tuned" is what the service's own search finds for the question, the
exponent of "ACT-R" is the best of a few, and the single families have their defaults, on equal confidences and, as
"rp3beta, plays", on the logarithm of the number of plays. All are then fitted on everything before the test.
"""

from __future__ import annotations

import argparse
import csv
import json
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from engine.data.confidence import ConfidenceWeights
from engine.data.plays import Plays
from engine.data.user_item_pairs import UserItemPairs
from engine.ensemble import ComponentConfig, EnsembleConfig
from engine.evaluation.questions import ALL, NEW
from engine.evaluation.ranking import Scorer
from engine.fitting import fit_ensemble
from engine.models.item_knn import ItemKNN
from engine.models.repeat import Repeat
from engine.models.rp3beta import RP3Beta
from engine.tuning import tune
from engine.tuning.space import build_component
from engine.tuning.validation_metric import ValidationMetric

HELD_OUT = 0.2
SEED = 2009
ACTIVATION_DECAYS = (0.2, 0.3, 0.4, 0.5, 0.7, 1.0)
# The order of these confidences is that of the number of plays.
BY_COUNT = ComponentConfig(Repeat(), ConfidenceWeights(bonus=0.0, liked=0.0, transform="log"))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("events", type=Path)
    parser.add_argument("--seconds", type=float, default=240, help="how long to search, for each question")
    parser.add_argument("--plays", type=int, default=15, help="leave out listeners with fewer plays")
    parser.add_argument("--threads", type=int, default=0, help="of the search; 0 for all cores")
    parser.add_argument("--json", type=Path, help="where to write the results")
    options = parser.parse_args()
    plays = read_events(options.events)
    is_judged = np.bincount(plays.user) >= options.plays
    before_test, test = hold_out_last(plays)
    train, valid = hold_out_last(before_test)
    shape = (int(plays.user.max()) + 1, int(plays.track.max()) + 1)
    results = []
    for question in (ALL, NEW):
        chosen = choose(to_pairs(train), to_pairs(valid.where(is_judged[valid.user])), shape, question, options)
        past, future = to_pairs(before_test), to_pairs(test.where(is_judged[test.user]))
        metric = ValidationMetric.from_pairs(past, future, shape, SEED, options.threads, question, shape[0])
        for name, ensemble in chosen.items():
            result = {"question": question, "model": name, "listeners": len(metric.ground_truth.users)}
            result["ndcg@10"] = round(measure(ensemble, past, shape, metric), 4)
            results.append(result | {"recipe": ensemble.to_dict()})
            print(f"| {question} | {name} | {result['ndcg@10']:.4f} | {result['listeners']:,} |", flush=True)
    if options.json:
        options.json.write_text(json.dumps(results, indent=2) + "\n")


def choose(
    train: UserItemPairs, valid: UserItemPairs, shape: tuple[int, int], question: str, options: argparse.Namespace
) -> dict[str, EnsembleConfig]:
    """Return the ensembles to compare by name, chosen on the validation plays."""
    metric = ValidationMetric.from_pairs(train, valid, shape, SEED, options.threads, question, shape[0])
    started = time.perf_counter()
    tuned = tune(train, valid, shape, seconds=options.seconds, question=question, seed=SEED, threads=options.threads)
    seconds = time.perf_counter() - started
    scores = ", ".join(f"{family} {score:.4f}" for family, score in tuned.best_scores.items())
    print(f"{question}: {tuned.ensemble.algorithm} {tuned.score:.4f} on validation, {seconds:.0f} s", file=sys.stderr)
    print(f"{len(tuned.trials)} trials, the best: {scores}", file=sys.stderr)
    print(json.dumps(tuned.ensemble.to_dict()), file=sys.stderr)
    chosen = {f"tuned ({tuned.ensemble.algorithm})": tuned.ensemble}
    if question == ALL:
        chosen["own plays, by number"] = EnsembleConfig((BY_COUNT,))
        by_activation = [
            EnsembleConfig((build_component("repeat", {"confidence.activation_decay": decay}),))
            for decay in ACTIVATION_DECAYS
        ]
        chosen["own plays, ACT-R"] = max(by_activation, key=lambda ensemble: measure(ensemble, train, shape, metric))
    for trainer in (RP3Beta(), ItemKNN()):
        chosen[f"{trainer.family}, defaults"] = EnsembleConfig((ComponentConfig(trainer, trainer.default_confidence),))
    chosen["rp3beta, plays"] = EnsembleConfig((build_component("rp3beta", {"confidence.transform": "log"}),))
    return chosen


def measure(ensemble: EnsembleConfig, past: UserItemPairs, shape: tuple[int, int], metric: ValidationMetric) -> float:
    """Return the mean NDCG@10 of an ensemble that is fitted on the past."""
    scorer = fit_ensemble(past, shape, ensemble, seed=SEED).build_scorer()
    return metric.mean_ndcg(fill_with_popular(scorer, metric.ground_truth.popularity))


def fill_with_popular(scorer: Scorer, popularity: NDArray[np.float32]) -> Callable[[NDArray[np.int64]], Any]:
    """Return a scorer that ranks tracks without a score by popularity, after all others."""
    below_all = popularity.astype(np.float64) / (popularity.max() + 1) - 1e6

    def score(users: NDArray[np.int64]) -> NDArray[np.float64]:
        scores = scorer(users)
        return np.where(np.isfinite(scores), scores.astype(np.float64), below_all)

    return score


def read_events(path: Path) -> Plays:
    """Read a file of plays, one on each line; users and tracks are numbered from 0."""
    with open(path, newline="") as file:
        rows = [(int(row["user"]), int(row["track"]), int(row["ts"])) for row in csv.DictReader(file, delimiter="\t")]
    user, track, ts = np.array(rows, np.int64).T
    n = len(rows)
    return Plays(
        user=np.unique(user, return_inverse=True)[1],
        track=np.unique(track, return_inverse=True)[1],
        count=np.ones(n, np.float32),
        qualified=np.ones(n, np.bool_),
        time=ts,
        signal=np.zeros(n, np.int8),
    )


def hold_out_last(plays: Plays) -> tuple[Plays, Plays]:
    """Split off the last HELD_OUT of each listener's plays, rounded down."""
    by_user = plays.where(np.lexsort((plays.time, plays.user)))
    counts = np.bincount(by_user.user)
    position = np.arange(len(by_user)) - np.searchsorted(by_user.user, by_user.user)
    is_held_out = position >= (counts - np.floor(HELD_OUT * counts))[by_user.user]
    return by_user.where(~is_held_out), by_user.where(is_held_out)


def to_pairs(plays: Plays) -> UserItemPairs:
    return UserItemPairs.merge(plays.user, plays.track, plays)


if __name__ == "__main__":
    main()
