"""Train once without any tuning on listening sessions, and predict the last track of the newest ones.

    python -m benchmarks.first_night SESSIONS

SESSIONS has one session a line, in the order of their dates: track ids in the order in which they were played. Each
session is a listener. The newest tenth of the sessions is tested: all of their tracks but the last are known, and the
last one is to be among the first 20 of the list that is served. The training run chooses a family on the known plays
only. Its time is compared with that of a training run with one fixed family.
"""

import argparse
import time
from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from engine.data.plays import Plays, Signal
from engine.data.user_item_pairs import UserItemPairs
from engine.ensemble import ComponentConfig, EnsembleConfig
from engine.listener_query import ListenerState, plan_query
from engine.models.ials import IALS
from engine.pipeline import PERSONAL, recommend
from engine.training import TrainedVersion, TrainingConfig, train
from engine.tuning.first_night import default_candidates

K, TEST_SHARE = 20, 0.1
ONLY_NEW = replace(PERSONAL, dials=replace(PERSONAL.dials, familiarity=0.0))
SECONDS_A_SESSION = 10_000  # sessions follow one another, and none has as many tracks


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("sessions")
    parser.add_argument("--threads", type=int, default=0)
    parser.add_argument("--tested", type=int, default=5000, help="at most so many sessions, spread evenly")
    options = parser.parse_args()
    with open(options.sessions) as lines:
        sessions = [[int(track) for track in line.split()] for line in lines]
    first_tested = round(len(sessions) * (1 - TEST_SHARE))
    known = sessions[:first_tested] + [session[:-1] for session in sessions[first_tested:]]
    plays, catalogue = to_plays(known), np.unique(np.concatenate([np.array(session) for session in sessions]))
    tested = np.unique(np.linspace(first_tested, len(sessions) - 1, options.tested).astype(int))

    factors = EnsembleConfig((ComponentConfig(IALS()),))
    config = TrainingConfig(factors, threads=options.threads)
    train(plays.where(slice(0, 1000)), catalogue, config, version="compiled")  # compiles the kernels
    seconds = []
    for name, candidates in (("one fixed ials", ()), ("the first night", (factors, *default_candidates()))):
        started = time.perf_counter()
        trained = train(plays, catalogue, replace(config, candidates=candidates), version="measured")
        seconds.append(time.perf_counter() - started)
        recall = next_track_recall(trained, sessions, tested)
        print(
            f"{name}: {trained.bundle.algorithm}, Recall@{K} of the next track {recall:.4f} on {len(tested):,} "
            f"sessions, {seconds[-1]:.0f} s, {seconds[-1] / seconds[0]:.2f} x",
            flush=True,
        )
    for tried in trained.manifest["choice"]["tried"]:
        print(f"  tried {tried['algorithm']}: NDCG@10 {tried['score']} {tried['note']} ({tried['seconds']:.0f} s)")


def to_plays(sessions: Sequence[Sequence[int]]) -> Plays:
    """Return one play for each track of each session, whose row number is the listener."""
    lengths = np.array([len(session) for session in sessions])
    users = np.repeat(np.arange(len(sessions)), lengths)
    positions = np.arange(len(users)) - np.repeat(np.cumsum(lengths) - lengths, lengths)
    return Plays(
        users,
        np.concatenate([np.array(session, np.int64) for session in sessions]),
        np.ones(len(users), np.float32),
        np.ones(len(users), np.bool_),
        users * SECONDS_A_SESSION + positions,
        np.full(len(users), Signal.PLAY, np.int8),
    )


def next_track_recall(trained: TrainedVersion, sessions: Sequence[Sequence[int]], tested: Sequence[int]) -> float:
    """Return the share of the tested sessions whose last track is in the list that the version serves."""
    hits = 0
    for session in tested:
        *past, target = sessions[session]
        history = to_plays([past])
        newest = int(session) * SECONDS_A_SESSION + len(past) - 1
        listener = ListenerState(int(session), UserItemPairs.from_listener(history), len(past), newest)
        query, policy = plan_query(trained.bundle, listener, ONLY_NEW, limit=K)
        hits += target in [pick.track_id for pick in recommend(trained.bundle, query, policy).picks]
    return hits / len(tested)


if __name__ == "__main__":
    main()
