"""Measure what caps and dials cost in accuracy, and what they give in variety; draw the trade-off along each dial.

    python -m benchmarks.variety lastfm-split --folder FOLDER [--curves FILE.svg] [--json FILE]
    python -m benchmarks.variety demo

`lastfm-split` is in FOLDER as train.tsv, valid.tsv and test.tsv. Its items are artists, so that caps on artists change
nothing there. `demo` is the generated world of `make demo`: the newest fifth of the plays is the test, and the newest
fifth of what remains the validation. The service trains without any configuration, and ranks all tracks that are new to
the listener. Dials are chosen on the validation part (`--part valid`), and reported on the test part (the default).

Slates have 20 tracks. NDCG@10 hardly sees what dials do below the head, so NDCG@20 is beside it. Diversity is 1 minus
the mean cosine of the pairs of tracks of a slate, by who played them and by the vectors of the version; coverage is the
share of the played tracks that is in anybody's slate.
"""

from __future__ import annotations

import argparse
import json
import sys
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from benchmarks.cold_start import SEED, read_split_files, train_on
from benchmarks.split_files import read_split
from engine.bundle.model_bundle import ModelBundle
from engine.data.id_map import IdMap
from engine.data.plays import Plays, Signal
from engine.data.split import split_by_time
from engine.data.track_features import TrackFeatures
from engine.data.user_item_pairs import UserItemPairs, binary_matrix
from engine.evaluation.beyond_accuracy import (
    artist_exposure,
    coverage,
    exposure_counts,
    gini,
    intra_list_diversity,
    item_vectors,
    vector_diversity,
)
from engine.evaluation.bootstrap import draw_resamples, mean_intervals
from engine.evaluation.bundles import BundleRanker, ListenerHistories, Restrictions
from engine.evaluation.ground_truth import GroundTruth
from engine.evaluation.metrics import ndcg
from engine.evaluation.questions import NEW
from engine.listener_query import COLD_BELOW
from engine.pipeline import NO_CAPS, PERSONAL, Dials, Policy
from importers.records import PlayRecord, TrackRecord
from importers.synthetic import IMPORTER, SyntheticWorld, read

CUTOFF, SLATE = 10, 20
DIALS = ("diversity", "novelty", "calibration", "artist_exposure")
STEPS = (0.1, 0.2, 0.3, 0.4, 0.6, 0.8)
FLOORS = (0.05, 0.1, 0.2)
BARE = replace(PERSONAL, dials=Dials(), caps=NO_CAPS)
COLUMNS = ("ndcg@10", "ndcg@20", "diversity", "vector diversity", "coverage", "gini", "artist gini")
Rows = NDArray[np.int64]


@dataclass(frozen=True)
class World:
    """A version that was trained on the past, and what its listeners played next."""

    bundle: ModelBundle
    histories: ListenerHistories
    truth: GroundTruth

    def measure(self, policy: Policy) -> tuple[dict[str, float], NDArray[np.float64]]:
        """Return the metrics of a policy, and the NDCG@10 of each listener."""
        truth, bundle = self.truth, self.bundle
        rank = BundleRanker(bundle, self.histories, bundle.items, NEW, COLD_BELOW, policy)
        lists = rank(truth.users, SLATE, lambda done: None).items
        accuracy, of_slates = ndcg(truth.mark_hits(lists), truth.relevant_counts(), [CUTOFF, SLATE]).T
        exposure = exposure_counts(lists, np.ones((1, len(lists))), len(bundle.items))
        values = (
            accuracy.mean(),
            of_slates.mean(),
            np.nanmean(intra_list_diversity(item_vectors(truth.past), lists, [SLATE], SEED)),
            np.nanmean(vector_diversity(bundle.vectors(np.arange(len(bundle.items))), lists, [SLATE])),
            coverage(exposure, truth.popularity > 0)[0],
            gini(exposure)[0],
            gini(artist_exposure(exposure, bundle.features.artist))[0],
        )
        return dict(zip(COLUMNS, map(float, values), strict=True)), accuracy


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("data", choices=("lastfm-split", "demo"))
    parser.add_argument("--folder", type=Path, help="of lastfm-split")
    parser.add_argument("--part", choices=("valid", "test"), default="test")
    parser.add_argument(
        "--dials", nargs="*", default=[], help='policies to compare, such as "diversity=0.2,novelty=0.1"'
    )
    parser.add_argument("--caps", nargs="*", default=[], help='the same for caps, such as "per_artist=4,artist_gap=0"')
    parser.add_argument("--curves", type=Path, help="draw the trade-off along each dial into this SVG file")
    parser.add_argument("--floors", action="store_true", help="also measure floors for new artists")
    parser.add_argument("--threads", type=int, default=0)
    parser.add_argument("--json", type=Path, help="where to write the results")
    options = parser.parse_args()
    if options.data == "demo":
        world = generate_world(options.part, options.threads)
    else:
        world = read_world(options.folder, options.part, options.threads)
    rows = list(compare(world, policies_to_compare(options)))
    print_table(rows)
    curves = {}
    if options.curves:
        curves = {dial: list(compare(world, dial_steps(dial))) for dial in DIALS}
        options.curves.write_text(draw_curves(rows, curves))
    if options.json:
        options.json.write_text(json.dumps({"policies": rows, "curves": curves}, indent=2) + "\n")


def policies_to_compare(options: argparse.Namespace) -> dict[str, Policy]:
    """Return the policies of the table by name; the others are compared with the first."""
    policies = {
        "bare top-k": BARE,
        "default caps": replace(PERSONAL, dials=Dials()),
        "default caps and dials": PERSONAL,
    }
    for text in options.dials:
        values = {name: float(value) for name, value in (pair.split("=") for pair in text.split(","))}
        policies[text] = replace(PERSONAL, dials=Dials(**values))
    for text in options.caps:
        caps = {name: int(value) for name, value in (pair.split("=") for pair in text.split(","))}
        policies[text] = replace(PERSONAL, dials=Dials(), caps=replace(PERSONAL.caps, **caps))
    if options.floors:
        for floor in FLOORS:
            policies[f"new artists {floor:g}"] = replace(PERSONAL, caps=replace(PERSONAL.caps, new_artist_share=floor))
    return policies


def dial_steps(dial: str) -> dict[str, Policy]:
    """Return policies that turn one dial, all others and the caps neutral."""
    return {f"{dial} {step:g}": replace(BARE, dials=Dials(**{dial: step})) for step in (0.0, *STEPS)}


def compare(world: World, policies: dict[str, Policy]) -> Iterator[dict[str, Any]]:
    """Yield the metrics of each policy, and how much NDCG@10 it loses to the first, with bootstrap bounds."""
    first: NDArray[np.float64] | None = None
    for name, policy in policies.items():
        started = time.perf_counter()
        metrics, accuracy = world.measure(policy)
        first = accuracy if first is None else first
        change = mean_intervals({"": accuracy - first}, draw_resamples(len(accuracy), SEED))[""]
        print(f"{name}: {time.perf_counter() - started:.0f} s", file=sys.stderr)
        yield {"policy": name, "metrics": metrics, "ndcg_change": change._asdict()}


def print_table(rows: Sequence[dict[str, Any]]) -> None:
    print(f"| slates | {' | '.join(COLUMNS)} | change of NDCG@10, 95 % |")
    print("|---" * (len(COLUMNS) + 2) + "|")
    base = rows[0]["metrics"]
    for row in rows:
        cells = [
            f"{value:.4f}" + (f" ({value / base[name] - 1:+.1%})" if row is not rows[0] else "")
            for name, value in row["metrics"].items()
        ]
        bounds = [row["ndcg_change"][side] / base["ndcg@10"] for side in ("low", "high")]
        interval = "" if row is rows[0] else f"{bounds[0]:+.1%} to {bounds[1]:+.1%}"
        print(f"| {row['policy']} | {' | '.join(cells)} | {interval} |")


def draw_curves(rows: Sequence[dict[str, Any]], curves: dict[str, list[dict[str, Any]]]) -> str:
    """Draw NDCG@10 against diversity, novelty's coverage and the Gini of artists, one line for each dial, as SVG."""
    shown = ("vector diversity", "coverage", "artist gini")
    colors = dict(zip(DIALS, ("#1f77b4", "#d62728", "#2ca02c", "#9467bd"), strict=True))
    width, height, left, top = 300, 260, 56, 34
    default = next(row["metrics"] for row in rows if row["policy"] == "default caps and dials")
    points = [row["metrics"] for curve in curves.values() for row in curve] + [default]
    low_y, high_y = (f(point["ndcg@10"] for point in points) for f in (min, max))
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" width="{3 * (width + left) + 20}" height="{height + 90}" '
        'font-family="sans-serif" font-size="11"><rect width="100%" height="100%" fill="white"/>'
    ]
    for panel, column in enumerate(shown):
        x0 = left + panel * (width + left)
        low_x, high_x = (f(point[column] for point in points) for f in (min, max))

        def place(
            point: dict[str, float], x0: float = x0, low: float = low_x, high: float = high_x, of: str = column
        ) -> str:
            x = x0 + width * (point[of] - low) / max(high - low, 1e-9)
            y = top + height * (high_y - point["ndcg@10"]) / max(high_y - low_y, 1e-9)
            return f"{x:.1f},{y:.1f}"

        parts.append(f'<rect x="{x0}" y="{top}" width="{width}" height="{height}" fill="none" stroke="#999"/>')
        parts.append(f'<text x="{x0 + width / 2}" y="{top + height + 30}" text-anchor="middle">{column}</text>')
        for value, x in ((low_x, x0), (high_x, x0 + width)):
            parts.append(f'<text x="{x}" y="{top + height + 14}" text-anchor="middle">{value:.3f}</text>')
        for value, y in ((high_y, top), (low_y, top + height)):
            parts.append(f'<text x="{x0 - 4}" y="{y + 4}" text-anchor="end">{value:.3f}</text>')
        for dial, curve in curves.items():
            line = [place(row["metrics"]) for row in curve]
            parts.append(
                f'<polyline points="{" ".join(line)}" fill="none" stroke="{colors[dial]}" stroke-width="1.5"/>'
            )
            parts += [
                f'<circle cx="{p.split(",")[0]}" cy="{p.split(",")[1]}" r="2.5" fill="{colors[dial]}"/>' for p in line
            ]
        x, y = map(float, place(default).split(","))
        parts.append(f'<path d="M{x - 6},{y} H{x + 6} M{x},{y - 6} V{y + 6}" stroke="black" stroke-width="2"/>')
    parts.append(f'<text x="{left}" y="20">NDCG@10 along each dial, from 0 to {STEPS[-1]:g}; + is the default</text>')
    for number, (dial, color) in enumerate(colors.items()):
        x, y = left + 150 * number, top + height + 52
        parts.append(
            f'<rect x="{x}" y="{y - 8}" width="12" height="4" fill="{color}"/><text x="{x + 18}" y="{y}">{dial}</text>'
        )
    return "\n".join([*parts, "</svg>"]) + "\n"


def read_world(folder: Path, part: str, threads: int) -> World:
    """Train on TRAIN of lastfm-split; what listeners played next is in VALID or TEST."""
    split = read_split(*(folder / f"{name}.tsv" for name in ("train", "valid", "test")))
    features = read_split_files(folder).features
    zeros = np.zeros(len(split.train), np.bool_)
    past = Plays(
        split.train.user, split.train.track, split.train.count, ~zeros, split.train.newest, zeros.astype(np.int8)
    )
    future = split.valid if part == "valid" else split.test
    return build_world(past, future, features, threads)


def generate_world(part: str, threads: int) -> World:
    """Generate the world of `make demo`, and train on all plays before those of the part."""
    tracks: dict[str, int] = {}
    artists: dict[str, int] = {}
    users: dict[str, int] = {}
    rows, artist_of_track = [], []
    signals = {"play": Signal.PLAY, "like": Signal.LIKE, "dislike": Signal.DISLIKE}
    for record in read([], namespace="", as_of=IMPORTER.as_of, on_bytes=lambda count: None, world=SyntheticWorld()):
        if isinstance(record, TrackRecord):
            tracks[record.external_id] = len(tracks)
            artist_of_track.append(artists.setdefault(record.artist_id, len(artists)))
        elif isinstance(record, PlayRecord):
            user, qualified = users.setdefault(record.user, len(users)), record.is_completed or record.milestone >= 75
            rows.append((user, tracks[record.track], record.plays, qualified, record.time, signals[record.kind]))
    user, track, count, qualified, seconds, signal = (np.array(column) for column in zip(*rows, strict=True))
    plays = Plays(user, track, count.astype(np.float32), qualified, seconds, signal.astype(np.int8))
    ids = np.arange(len(tracks))
    features = replace(TrackFeatures.unknown(ids), artist=np.array(artist_of_track, np.int64))
    before_test = split_by_time(plays, 0.2, SEED)
    split = before_test if part == "test" else split_by_time(before_test.past, 0.2, SEED)
    users_map, items = IdMap.from_ids(plays.user), IdMap.from_ids(ids)
    return build_world(split.past, UserItemPairs.from_plays(split.future, users_map, items), features, threads)


def build_world(past: Plays, future: UserItemPairs, features: TrackFeatures, threads: int) -> World:
    bundle = train_on(past, features, threads)
    histories = ListenerHistories.from_plays(past, Restrictions())
    rows, is_known = histories.users.rows(future.user)
    future = replace(future.where(is_known), user=rows[is_known])
    shape = (len(histories.users), len(features))
    played = histories.matrix(histories.pairs.is_positive, bundle.items)
    known = histories.matrix(histories.pairs.is_positive | histories.pairs.is_negative, bundle.items)
    truth = GroundTruth.from_matrices(played, binary_matrix(future, shape), None, SEED, NEW, known)
    print(f"{len(truth.users):,} listeners, {shape[1]:,} tracks", file=sys.stderr)
    return World(bundle, histories, truth)


if __name__ == "__main__":
    main()
