"""Measure how well sequence models say which track is played next.

    python -m benchmarks.next_track sessions SESSIONS.txt [--sample 5000] [--all-plays] [--catalogue N] [--json OUT]
    python -m benchmarks.next_track events EVENTS.tsv [--sample 5000] [--all-plays] [--catalogue N] [--json OUT]
    python -m benchmarks.next_track sequences SEQUENCES.tsv [--json OUT]

"sessions" is a text file with a session on each line in the order of time, as ids of tracks, such as #nowplaying.
"events" has the columns user, session, track and ts (UNIX seconds), such as the events of 30Music. Models are fitted on
the older nine tenths of the sessions; every play of the others but the first is predicted from all plays of its session
before it. All tracks are ranked, those of the session itself too. Plays of tracks that were never played before are
left out, as in the literature, unless --all-plays makes them misses. With --catalogue, N further tracks that nobody has
played lie between the others.

"sequences" has the columns user, pos and item, such as the Last.fm sequences of S3-Rec. The last item of each listener
is the test and the last but one the validation; all items are ranked but those of the sequence before. An order-blind
model, a fusion of sequence models and their blend are fitted on the items before the test. The weight of the blend is
chosen on the validation items, with models fitted on the items before these.
"""

from __future__ import annotations

import argparse
import csv
import json
import sys
import time
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import scipy.sparse as sp
from numpy.typing import NDArray

from engine.data.id_map import IdMap
from engine.data.sessions import Sessions
from engine.evaluation.next_track import PrefixScorer, baselines, rank_next_tracks
from engine.evaluation.sequences import scorer_of_other_catalogue
from engine.models.linear_autoencoder import LinearAutoencoder
from engine.models.sequences.sequence_fusion import SequenceFusion, SequenceFusionModel

HELD_OUT = 0.1
SEED = 2009
K = 20
COMPONENTS = (
    "sequential rules",
    "transitions from the last track",
    "tracks of one session",
    "rules of rules",
    "session-kNN",
    "repeats in the session",
)
# Recall@20 and MRR@20 of sketches that were measured on #nowplaying before these models were built.
SKETCHES = {
    "sessions": [
        ("sequential rules (sketch)", 0.2135, 0.0912),
        ("VSKNN (sketch)", 0.2175, 0.0737),
        ("their sum of z-scores (sketch)", 0.2285, 0.0918),
    ]
}
# HR@10 and NDCG@10 as reported in the papers of S3-Rec (CIKM 2020) and BSARec (AAAI 2024).
PUBLISHED = [("SASRec (published)", 0.0688, 0.0390), ("S3-Rec (published)", 0.0743, 0.0427)]
PUBLISHED_HR_ONLY = ("BSARec (published)", 0.0807)
BLEND_WEIGHTS = (0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7)
ORDER_BLIND = LinearAutoencoder(l2=60.0, dropout=0.1, diagonal="zero")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("kind", choices=("sessions", "events", "sequences"))
    parser.add_argument("file", type=Path)
    parser.add_argument("--sample", type=int, default=0, help="how many of the held-out sessions to rank; 0 for all")
    parser.add_argument("--all-plays", action="store_true", help="count plays of tracks that are new as misses")
    parser.add_argument("--catalogue", type=int, default=0, help="how many tracks that nobody plays to add")
    parser.add_argument("--json", type=Path, help="where to write the results")
    options = parser.parse_args()
    results = measure_sequences(options.file) if options.kind == "sequences" else measure_sessions(options)
    if options.json:
        options.json.write_text(json.dumps(results, indent=2) + "\n")


def measure_sessions(options: argparse.Namespace) -> list[dict[str, Any]]:
    """Print and return the metrics of all models on later sessions."""
    sessions = read_sessions(options.file) if options.kind == "sessions" else read_events(options.file)
    items = int(sessions.items.max()) + 1
    spread = 1 + options.catalogue // items
    sessions, items = replace(sessions, items=spread * sessions.items), spread * items
    past, later = sessions.split_newest(HELD_OUT)
    is_known = None if options.all_plays else np.bincount(past.items, minlength=items) > 0
    if 0 < options.sample < len(later):
        later = sample_sessions(later, options.sample)
    started, cpu = time.perf_counter(), time.process_time()
    fusion = SequenceFusion().fit(past, items, seed=SEED)
    assert isinstance(fusion, SequenceFusionModel)
    print(
        f"{len(past):,} sessions of {len(past.items):,} plays, {items:,} tracks: fitted in "
        f"{time.perf_counter() - started:.1f} s, {time.process_time() - cpu:.1f} s of CPU time, "
        f"{sum(array.nbytes for array in fusion.to_arrays().values()) / 1e6:.1f} MB",
        file=sys.stderr,
    )
    scorers: dict[str, PrefixScorer] = baselines(past, items)
    played, catalogue = IdMap.from_ids(fusion.rows), IdMap.from_ids(np.arange(items))
    scorers |= {
        name: scorer_of_other_catalogue(model, played, catalogue)
        for name, model in zip(COMPONENTS, fusion.models, strict=True)
    }
    scorers["fusion"] = fusion.score
    for name, recall, mrr in SKETCHES.get(options.kind, []):
        print(f"| {name} | {recall:.4f} | {mrr:.4f} | |")
    results = []
    for name, score in scorers.items():
        cpu = time.process_time()
        ranks = rank_next_tracks(score, later, is_known)
        milliseconds = 1_000 * (time.process_time() - cpu) / max(len(ranks), 1)
        results.append({"model": name, **ranks.report(K), "cpu_ms": round(milliseconds, 3)})
        print(f"| {name} | {ranks.recall(K):.4f} | {ranks.mrr(K):.4f} | {milliseconds:.2f} |", flush=True)
    by_length: dict[str, dict[str, float]] = results[-1]["by_prefix_length"]
    for length, metrics in by_length.items():
        print(f"| fusion, {length} plays before | {metrics[f'recall@{K}']:.4f} | {metrics[f'mrr@{K}']:.4f} | |")
    print(f"{len(ranks):,} plays of {len(later):,} sessions", file=sys.stderr)
    return results


def measure_sequences(path: Path) -> list[dict[str, Any]]:
    """Print and return the metrics of an order-blind model, a fusion of sequence models, and their blend."""
    sequences = read_sequences(path)
    items = 1 + max(int(sequence.max()) for sequence in sequences)
    targets = {cut: np.array([sequence[-cut] for sequence in sequences]) for cut in (1, 2)}
    scores = {cut: score_prefixes([sequence[:-cut] for sequence in sequences], items) for cut in (1, 2)}

    def blend(cut: int, weight: float) -> NDArray[np.float64]:
        order_blind, fusion = scores[cut]
        return (1 - weight) * order_blind + weight * fusion

    weight = max(BLEND_WEIGHTS, key=lambda weight: hit_rate_and_ndcg(blend(2, weight), targets[2])[1])
    results = []
    for name, of_items in (
        ("order-blind: linear autoencoder", scores[1][0]),
        ("fusion of sequence models", scores[1][1]),
        (f"blend, {weight:g} of the fusion", blend(1, weight)),
    ):
        hit_rate, ndcg = hit_rate_and_ndcg(of_items, targets[1])
        results.append({"model": name, "hr@10": round(hit_rate, 5), "ndcg@10": round(ndcg, 5)})
        print(f"| {name} | {hit_rate:.4f} | {ndcg:.4f} |")
    for name, hit_rate, ndcg in PUBLISHED:
        print(f"| {name} | {hit_rate:.4f} | {ndcg:.4f} |")
    print(f"| {PUBLISHED_HR_ONLY[0]} | {PUBLISHED_HR_ONLY[1]:.4f} | |")
    return results


def score_prefixes(prefixes: list[NDArray[np.int32]], items: int) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Fit an order-blind model and a fusion on prefixes, and score what follows each of them.

    Returns:
        z-scores over the items, -inf for those of the prefix, float64 (prefixes, items), of both models.
    """
    lengths = np.array([len(prefix) for prefix in prefixes])
    offsets = np.concatenate([[0], np.cumsum(lengths)])
    ended_at = np.zeros(len(prefixes), np.int64)  # the dates of this data are only months
    sessions = Sessions(np.concatenate(prefixes), offsets, ended_at, np.arange(len(prefixes)))
    entries = np.ones(len(sessions.items), np.float32), (sessions.session_of_play, sessions.items)
    matrix = sp.csr_matrix(entries, (len(prefixes), items))
    neighbours = ORDER_BLIND.fit(matrix, seed=SEED).neighbours
    assert neighbours is not None
    order_blind = np.asarray((matrix @ neighbours).todense(), np.float64)
    model = SequenceFusion().fit(sessions, items, seed=SEED)
    by_order = np.zeros((len(prefixes), items))
    for number, prefix in enumerate(prefixes):
        rows, scores = model.score(prefix)
        by_order[number, rows] = scores
    is_played = np.asarray(matrix.todense()) > 0
    return tuple(
        np.where(
            is_played, -np.inf, (of_model - of_model.mean(axis=1, keepdims=True)) / of_model.std(axis=1, keepdims=True)
        )
        for of_model in (order_blind, by_order)
    )  # type: ignore[return-value]


def hit_rate_and_ndcg(scores: NDArray[np.float64], targets: NDArray[np.int32], k: int = 10) -> tuple[float, float]:
    """Return HR@k and NDCG@k for one target in each row of scores; equal scores are ranked by item."""
    of_target = scores[np.arange(len(targets)), targets][:, None]
    is_before = (scores > of_target) | ((scores == of_target) & (np.arange(scores.shape[1]) < targets[:, None]))
    rank = 1 + is_before.sum(axis=1)
    return float(np.mean(rank <= k)), float(np.mean(np.where(rank <= k, 1 / np.log2(rank + 1), 0)))


def read_sessions(path: Path) -> Sessions:
    """Read a file with one session on each line, oldest first, whose tracks have ids from 1; no times are known."""
    with open(path) as file:
        lines = [np.array(line.split(), np.int32) - 1 for line in file]
    offsets = np.concatenate([[0], np.cumsum([len(line) for line in lines])])
    return Sessions(np.concatenate(lines), offsets, np.arange(len(lines)), np.full(len(lines), -1))


def read_events(path: Path) -> Sessions:
    """Read a file of plays with the sessions that the source cut them into."""
    with open(path, newline="") as file:
        columns = [
            (int(row["user"]), int(row["session"]), int(row["track"]), int(row["ts"]))
            for row in csv.DictReader(file, delimiter="\t")
        ]
    user, session, track, time = np.array(columns, np.int64).T
    order = np.lexsort((time, session))
    user, session, track, time = user[order], session[order], track[order], time[order]
    first = np.flatnonzero(np.append(True, np.diff(session) != 0))
    lengths = np.diff(np.append(first, len(session)))
    ended_at = time[first + lengths - 1]
    by_end = np.argsort(ended_at, kind="stable")
    offsets = np.concatenate([[0], np.cumsum(lengths[by_end])])
    plays = np.repeat(first[by_end] - offsets[:-1], lengths[by_end]) + np.arange(len(session))
    rows = np.unique(track, return_inverse=True)[1].astype(np.int32)
    return Sessions(rows[plays], offsets, ended_at[by_end], user[first][by_end])


def read_sequences(path: Path) -> list[NDArray[np.int32]]:
    """Read the items of each user in their order, numbered from 0."""
    user, position, item = np.loadtxt(path, dtype=np.int64, skiprows=1, delimiter="\t").T
    order = np.lexsort((position, user))
    items = np.unique(item, return_inverse=True)[1].astype(np.int32)[order]
    return np.split(items, np.flatnonzero(np.diff(user[order])) + 1)


def sample_sessions(sessions: Sessions, count: int) -> Sessions:
    """Return some of the sessions, chosen at random, in their order."""
    chosen = np.sort(np.random.default_rng(SEED).choice(len(sessions), count, replace=False))
    lengths = sessions.lengths[chosen]
    is_chosen = np.isin(sessions.session_of_play, chosen)
    offsets = np.concatenate([[0], np.cumsum(lengths)])
    return Sessions(sessions.items[is_chosen], offsets, sessions.ended_at[chosen], sessions.user[chosen])


if __name__ == "__main__":
    main()
