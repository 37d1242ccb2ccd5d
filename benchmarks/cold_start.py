"""Serve new listeners after their first plays, and compare that with most popular and with pure fold-in.

    python -m benchmarks.cold_start lastfm-split FOLDER [--folds 5] [--hide 1 2 3 4] [--caps 3 4]
        [--json OUT]
    python -m benchmarks.cold_start 30music FOLDER

Listeners are divided into folds at random; fold 0 is there to choose on, the others to report on. Those of one fold are
hidden: the service trains on the others, as it does every night, without any configuration. Of each hidden listener 1,
2, 3 and 5 plays are revealed, and their later tracks are predicted, all tracks ranked. What the training run learns
about new listeners it learns from listeners whom it hides itself, among those that it knows, so that nothing is chosen
on the listeners who are reported.

`lastfm-split` (FOLDER has train.tsv, valid.tsv and test.tsv) has no times: random tracks are revealed, and those of
TEST are to be predicted. Its items are artists. `30music` (FOLDER has events.tsv) has times: the first plays are
revealed, and the tracks after the fifth play are to be predicted, apart from those revealed. The same listeners are
evaluated after each number of plays: those who have enough of them.
"""

from __future__ import annotations

import argparse
import csv
import json
import sys
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from tqdm import tqdm

from benchmarks.repeats import read_events
from benchmarks.split_files import read_split
from engine.bundle.model_bundle import ModelBundle
from engine.data.plays import Plays
from engine.data.track_features import TrackFeatures
from engine.data.user_item_pairs import UserItemPairs
from engine.ensemble import ComponentConfig, EnsembleConfig
from engine.evaluation.bootstrap import draw_resamples, mean_intervals
from engine.evaluation.metrics import ndcg
from engine.listener_query import ListenerState, plan_query
from engine.models.ials import IALS
from engine.pipeline import NO_CAPS, PERSONAL, POPULAR, Policy, recommend
from engine.training import TrainingConfig, train
from engine.tuning.first_night import default_candidates

REVEALED = (1, 2, 3, 5)
CUTOFF, SLATE = 10, 20
SEED = 2009
SERVED = "served"
BARE = {
    "most popular": Policy("popular", POPULAR.sources, fill=POPULAR.fill, caps=NO_CAPS),
    "pure fold-in": Policy("fold_in", PERSONAL.sources, fill=PERSONAL.fill, caps=NO_CAPS),
    "pure fold-in, with the caps": Policy("fold_in", PERSONAL.sources, fill=PERSONAL.fill, caps=PERSONAL.caps),
}
Ids = NDArray[np.int64]


@dataclass(frozen=True)
class Newcomers:
    """Listeners and their plays, in the order in which these are revealed.

    Attributes:
        plays: of all listeners, who are numbered from 0.
        features: of each track, numbered from 0.
        relevant: the tracks to be predicted, by listener; those without any are never hidden.
    """

    plays: Plays
    features: TrackFeatures
    relevant: dict[int, Ids]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("data", choices=("lastfm-split", "30music"))
    parser.add_argument("folder", type=Path)
    parser.add_argument("--folds", type=int, default=5, help="how many parts the listeners are divided into")
    parser.add_argument("--hide", type=int, nargs="+", default=[1, 2, 3, 4], help="these folds, one after another")
    parser.add_argument("--caps", type=int, nargs="*", default=[], help="also try so many tracks of an artist in 20")
    parser.add_argument("--threads", type=int, default=0)
    parser.add_argument("--json", type=Path, help="where to write the results")
    options = parser.parse_args()
    newcomers = read_split_files(options.folder) if options.data == "lastfm-split" else read_events_file(options.folder)
    rows = list(measure(newcomers, options))
    print_table(rows)
    if options.json:
        options.json.write_text(json.dumps(rows, indent=2) + "\n")


def measure(newcomers: Newcomers, options: argparse.Namespace) -> Iterator[dict[str, Any]]:
    """Yield one row of results for each number of revealed plays."""
    plays = newcomers.plays
    fold_of_listener = np.random.default_rng(SEED).permutation(int(plays.user.max()) + 1) % options.folds
    names = (SERVED, *BARE, *(f"served, {cap} of an artist" for cap in options.caps))
    scores: dict[int, dict[str, list[float]]] = {k: {name: [] for name in names} for k in REVEALED}
    most_of_artist: dict[int, dict[str, list[int]]] = {k: {name: [] for name in names} for k in REVEALED}
    for fold in options.hide:
        is_hidden = fold_of_listener == fold
        bundle = train_on(plays.where(~is_hidden[plays.user]), newcomers.features, options.threads)
        hidden = [listener for listener in np.flatnonzero(is_hidden).tolist() if listener in newcomers.relevant]
        for listener in tqdm(hidden, desc=f"fold {fold}", file=sys.stderr):
            history, relevant = plays.where(plays.user == listener), newcomers.relevant[listener]
            for k in REVEALED:
                for name, slate in slates(bundle, listener, history.where(slice(0, k)), options.caps).items():
                    hits = np.isin(slate[:CUTOFF], relevant)
                    hits = np.pad(hits, (0, CUTOFF - len(hits)))
                    scores[k][name].append(float(ndcg(hits[None], np.array([len(relevant)]), [CUTOFF])[0, 0]))
                    artists = newcomers.features.artist[slate]
                    most_of_artist[k][name].append(int(np.unique(artists, return_counts=True)[1].max()))
    for k in REVEALED:
        yield summarize(k, {name: np.array(values) for name, values in scores[k].items()}, most_of_artist[k])


def train_on(
    plays: Plays, features: TrackFeatures, threads: int, ensemble: EnsembleConfig | None = None
) -> ModelBundle:
    """Train a version of an ensemble; by default as an installation without any configuration does."""
    started = time.perf_counter()
    factors = EnsembleConfig((ComponentConfig(IALS()),))
    candidates = () if ensemble else (factors, *default_candidates())
    config = TrainingConfig(ensemble or factors, candidates, seed=SEED, threads=threads)
    trained = train(plays, np.arange(len(features)), config, version="measured", features=features)
    early = trained.bundle.early
    print(f"{trained.bundle.algorithm}, {time.perf_counter() - started:.0f} s, {early}", file=sys.stderr)
    return trained.bundle


def slates(bundle: ModelBundle, listener: int, revealed: Plays, other_caps: Sequence[int]) -> dict[str, Ids]:
    """Return what is served after some plays, and what is compared with it: track ids, best first."""
    history = UserItemPairs.from_listener(revealed)
    state = ListenerState(listener, history, len(revealed), int(revealed.time.max()))
    query, policy = plan_query(bundle, state, limit=SLATE, now=int(revealed.time.max()))
    policies = {SERVED: policy, **BARE}
    for cap in other_caps:
        policies[f"served, {cap} of an artist"] = replace(policy, caps=replace(policy.caps, per_artist=cap))
    return {
        name: np.array([pick.track_id for pick in recommend(bundle, query, policy).picks], np.int64)
        for name, policy in policies.items()
    }


def summarize(k: int, scores: dict[str, NDArray[np.float64]], most_of_artist: dict[str, list[int]]) -> dict[str, Any]:
    """Return mean NDCG@10, and its difference to what is served, with bootstrap bounds."""
    listeners = len(scores[SERVED])
    resamples = draw_resamples(listeners, SEED)
    means = mean_intervals(scores, resamples)
    gains = mean_intervals({name: scores[SERVED] - values for name, values in scores.items()}, resamples)
    models = {
        name: {
            "ndcg@10": means[name]._asdict(),
            "gain_of_served": gains[name]._asdict(),
            "most_of_an_artist": max(most_of_artist[name]),
        }
        for name in scores
    }
    return {"plays": k, "listeners": listeners, "models": models}


def print_table(rows: list[dict[str, Any]]) -> None:
    print("| plays | what is ranked | NDCG@10 | what is served, less this | most tracks of an artist in 20 |")
    print("|---|---|---|---|---|")
    for row in rows:
        for name, result in row["models"].items():
            mean, gain = result["ndcg@10"], result["gain_of_served"]
            difference = "" if name == SERVED else f"{gain['mean']:+.4f} ({gain['low']:+.4f} to {gain['high']:+.4f})"
            cells = [str(row["plays"]), name, f"{mean['mean']:.4f}", difference, str(result["most_of_an_artist"])]
            print(f"| {' | '.join(cells)} |")
    print(f"\n{rows[0]['listeners']:,} hidden listeners; bounds are 95 % of bootstrap resamples")


def read_split_files(folder: Path) -> Newcomers:
    """Read `lastfm-split`: the tracks of TRAIN and VALID in random order are revealed, those of TEST predicted."""
    split = read_split(*(folder / f"{name}.tsv" for name in ("train", "valid", "test")))
    known = split.with_validation_in_training().train
    order = np.lexsort((np.random.default_rng(SEED).random(len(known)), known.user))
    known = known.where(order)
    zeros = np.zeros(len(known), np.bool_)
    plays = Plays(known.user, known.track, known.count, ~zeros, known.newest, zeros.astype(np.int8))
    is_long = np.bincount(known.user, minlength=split.shape[0]) >= REVEALED[-1]
    relevant = {user: split.test.track[split.test.user == user] for user in np.unique(split.test.user).tolist()}
    tracks = np.arange(split.shape[1])
    features = TrackFeatures.unknown(tracks)
    features = TrackFeatures(tracks, features.album, tracks, features.released, features.added)  # an item is an artist
    return Newcomers(plays, features, {user: tracks for user, tracks in relevant.items() if is_long[user]})


def read_events_file(folder: Path) -> Newcomers:
    """Read 30Music's events: plays are revealed by time."""
    plays = read_events(folder / "events.tsv")
    plays = plays.where(np.lexsort((plays.time, plays.user)))
    with open(folder / "events.tsv", newline="") as file:
        artist_of_track = {int(row["track"]): int(row["artist"]) for row in csv.DictReader(file, delimiter="\t")}
    tracks = np.arange(len(artist_of_track))  # `read_events` numbers them in the order of their ids
    unknown = TrackFeatures.unknown(tracks)
    artist = np.array([artist_of_track[track] for track in sorted(artist_of_track)], np.int64)
    features = TrackFeatures(artist, unknown.album, tracks, unknown.released, unknown.added)
    relevant = {}
    for user in np.unique(plays.user).tolist():
        track = plays.track[plays.user == user]
        later = np.setdiff1d(track[REVEALED[-1] :], track[: REVEALED[-1]])
        if len(later):
            relevant[user] = later
    return Newcomers(plays, features, relevant)


if __name__ == "__main__":
    main()
