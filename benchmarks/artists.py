"""Measure which new artists listeners come to play, by how many tracks decide about an artist.

    python -m benchmarks.artists FOLDER [--part valid|test]

FOLDER has events.tsv of 30Music with the columns window, user, track, ts and artist. A version is trained on the first
of the three five-day windows (valid), or on the first two (test). Each listener with at least five plays in them, who
plays an artist in the next window for the first time, is recommended 20 artists that are new to them. Rankings in which
`best` tracks decide about an artist are compared with the artists who have most listeners.
"""

import argparse
import csv
from collections import defaultdict
from pathlib import Path

import numpy as np

from benchmarks.cold_start import train_on
from engine.bundle.model_bundle import ModelBundle
from engine.data.plays import Plays
from engine.data.track_features import TrackFeatures
from engine.data.user_item_pairs import UserItemPairs
from engine.discovery import find_known_artists, gather_relevant, rank_groups
from engine.listener_query import COLD_BELOW, ListenerState, plan_query
from engine.pipeline import PERSONAL

SLATE = 20
BEST = (1, 2, 3, 5, 10)
DISCOUNTS = 1 / np.log2(np.arange(2, SLATE + 2))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--part", choices=("valid", "test"), default="test")
    parser.add_argument("--threads", type=int, default=1)
    options = parser.parse_args()
    with open(options.folder / "events.tsv", newline="") as file:
        events = list(csv.DictReader(file, delimiter="\t"))
    last = 0 if options.part == "valid" else 1
    past = [event for event in events if int(event["window"]) <= last]
    future = [event for event in events if int(event["window"]) == last + 1]
    tracks = {track: row for row, track in enumerate(sorted({event["track"] for event in past}))}
    artist_of = {event["track"]: int(event["artist"]) for event in past}
    features = TrackFeatures.unknown(np.arange(len(tracks)))
    artists = np.array([artist_of[track] for track in tracks], np.int64)
    features = TrackFeatures(artists, features.album, features.recording, features.released, features.added)
    plays = Plays.from_rows((int(e["user"]), tracks[e["track"]], 1, True, int(e["ts"])) for e in past)
    relevant: dict[int, set[int]] = defaultdict(set)
    for event in future:
        relevant[int(event["user"])].add(int(event["artist"]))
    measure(train_on(plays, features, options.threads), plays, relevant)


def measure(bundle: ModelBundle, plays: Plays, relevant: dict[int, set[int]]) -> None:
    """Print the accuracy of each ranking, as means over listeners with their standard errors."""
    artists = bundle.features.artist
    listeners = np.unique(np.stack([plays.user, artists[plays.track]]), axis=1)[1]
    popular, counts = np.unique(listeners, return_counts=True)
    popular = popular[np.argsort(-counts, kind="stable")]
    scores: dict[str, list[tuple[float, float]]] = defaultdict(list)
    for user, wanted in relevant.items():
        own = plays.where(plays.user == user)
        if len(own) < COLD_BELOW:
            continue
        state = ListenerState(user, UserItemPairs.from_listener(own), len(own), int(own.time.max()))
        query, policy = plan_query(bundle, state, PERSONAL, limit=SLATE, now=int(own.time.max()))
        known = find_known_artists(bundle, query.history)
        new = wanted - set(known.tolist())
        if not new:
            continue
        tracks = gather_relevant(bundle, query, policy, known)
        rankings = {"most popular": popular[~np.isin(popular, known)][:SLATE].tolist()}
        for best in BEST:
            groups = rank_groups(tracks.artist, np.arange(len(tracks.artist)), tracks.relevance, best, SLATE)
            rankings[f"best {best}"] = [group.id for group in groups]
        for name, ranking in rankings.items():
            hits = np.isin(ranking, list(new))
            gain = float(hits @ DISCOUNTS[: len(ranking)]) / float(DISCOUNTS[: len(new)].sum())
            scores[name].append((gain, hits.sum() / len(new)))
    print(f"{len(scores['most popular'])} listeners\n\n| ranking | NDCG@20 | recall@20 |\n|---|---|---|")
    for name, of_listeners in scores.items():
        values = np.array(of_listeners)
        mean, error = values.mean(axis=0), values.std(axis=0) / np.sqrt(len(values))
        print(f"| {name} | {mean[0]:.4f} ± {error[0]:.4f} | {mean[1]:.4f} ± {error[1]:.4f} |")


if __name__ == "__main__":
    main()
