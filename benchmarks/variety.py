"""Measure what caps and dials cost in accuracy, and what they give in variety; draw the trade-off along each dial.

    python -m benchmarks.variety lastfm-split --folder FOLDER [--curves FILE.svg] [--json FILE]
    python -m benchmarks.variety demo

`lastfm-split` is in FOLDER as train.tsv, valid.tsv and test.tsv. Its items are artists, so that caps on artists change
nothing there. `demo` is the generated world of `make demo`: the newest fifth of the plays is the test, and the newest
fifth of what remains the validation. Its tracks get random dates of the last year, so that freshness can be measured:
what it costs there is what a preference costs that has nothing to do with taste. The service trains without any
configuration, and ranks all tracks that are new to the listener. Dials are chosen on the validation part
(`--part valid`), and reported on the test part (the default).

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
COLORS = {
    "diversity": "#1f77b4",
    "novelty": "#d62728",
    "freshness": "#ff7f0e",
    "calibration": "#2ca02c",
    "artist_exposure": "#9467bd",
}
STEPS = (0.2, 0.4, 0.6, 0.8)
PANELS = {
    "vector diversity": "diversity by vectors →",
    "coverage": "share of the catalogue on slates →",
    "artist gini": "← Gini of artist exposure",
    "age": "← mean age of the tracks, days",
}
FLOORS = (0.05, 0.1, 0.2)
SERVED = replace(PERSONAL, dials=replace(PERSONAL.dials, familiarity=0.0))  # as slates of new tracks only are
BARE = replace(PERSONAL, dials=Dials(), caps=NO_CAPS)
COLUMNS = ("ndcg@10", "ndcg@20", "diversity", "vector diversity", "coverage", "gini", "artist gini", "age")
DAY, OLDEST = 86_400, 365  # days that the tracks of the generated world have been in its catalogue at most
Rows = NDArray[np.int64]


@dataclass(frozen=True)
class World:
    """A version that was trained on the past, and what its listeners played next."""

    bundle: ModelBundle
    histories: ListenerHistories
    truth: GroundTruth

    def age_of_tracks(self) -> NDArray[np.float64]:
        """Return how many days ago each track was added when the newest play was made, NaN if it is not known."""
        added = self.bundle.features.added
        return np.where(added > 0, (self.bundle.statistics.newest - added) / DAY, np.nan)

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
            np.mean(self.age_of_tracks()[lists[lists >= 0]]),
        )
        metrics = dict(zip(COLUMNS, map(float, values), strict=True))
        if np.isnan(metrics["age"]):
            del metrics["age"]
        return metrics, accuracy


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
        dials = [dial for dial in COLORS if dial != "freshness" or "age" in rows[0]["metrics"]]
        curves = {dial: list(compare(world, dial_steps(dial))) for dial in dials}
        options.curves.write_text(draw_curves(rows, curves))
    if options.json:
        options.json.write_text(json.dumps({"policies": rows, "curves": curves}, indent=2) + "\n")


def policies_to_compare(options: argparse.Namespace) -> dict[str, Policy]:
    """Return the policies of the table by name; the others are compared with the first."""
    policies = {
        "bare top-k": BARE,
        "default caps": replace(PERSONAL, dials=Dials()),
        "default caps and dials": SERVED,
    }
    for text in options.dials:
        values = {name: float(value) for name, value in (pair.split("=") for pair in text.split(","))}
        policies[text] = replace(PERSONAL, dials=Dials(**values))
    for text in options.caps:
        caps = {name: int(value) for name, value in (pair.split("=") for pair in text.split(","))}
        policies[text] = replace(PERSONAL, dials=Dials(), caps=replace(PERSONAL.caps, **caps))
    if options.floors:
        for floor in FLOORS:
            policies[f"new artists {floor:g}"] = replace(SERVED, caps=replace(SERVED.caps, new_artist_share=floor))
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
    base = rows[0]["metrics"]
    print(f"| slates | {' | '.join(base)} | change of NDCG@10, 95 % |")
    print("|---" * (len(base) + 2) + "|")
    for row in rows:
        cells = [
            f"{value:.4f}" + (f" ({value / base[name] - 1:+.1%})" if row is not rows[0] else "")
            for name, value in row["metrics"].items()
        ]
        bounds = [row["ndcg_change"][side] / base["ndcg@10"] for side in ("low", "high")]
        interval = "" if row is rows[0] else f"{bounds[0]:+.1%} to {bounds[1]:+.1%}"
        print(f"| {row['policy']} | {' | '.join(cells)} | {interval} |")


def draw_curves(rows: Sequence[dict[str, Any]], curves: dict[str, list[dict[str, Any]]]) -> str:
    """Draw NDCG@20 against what dials are for, a panel for each metric and a line for each dial, as SVG."""
    width, height, left, top, row_height = 330, 220, 62, 50, 290
    marks = {"default caps and dials": "default", "default caps": "caps alone"}
    marked = {marks[row["policy"]]: row["metrics"] for row in rows if row["policy"] in marks}
    points = [*(row["metrics"] for curve in curves.values() for row in curve), *marked.values()]
    panels = [name for name in PANELS if name in points[0]]
    total_width, total_height = 2 * (width + left) + 30, top + row_height * ((len(panels) + 1) // 2) + 30
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {total_width} {total_height}" width="{total_width}" '
        f'height="{total_height}" font-family="sans-serif" font-size="12"><rect width="100%" height="100%" '
        f'fill="white"/><text x="{left}" y="20" font-size="14">NDCG@20 along each dial, '
        f"alone below the head and without caps, at 0, {', '.join(map(str, STEPS))}</text>"
    ]
    for number, name in enumerate(panels):
        x0, y0 = left + number % 2 * (width + left), top + number // 2 * row_height
        low_x, high_x, low_y, high_y = (
            extreme(point[column] for point in points) for column in (name, "ndcg@20") for extreme in (min, max)
        )
        margin_x, margin_y = 0.06 * (high_x - low_x) or 1.0, 0.08 * (high_y - low_y) or 1.0
        low_x, high_x, low_y, high_y = low_x - margin_x, high_x + margin_x, low_y - margin_y, high_y + margin_y

        def place(x: float, y: float, area: tuple[float, ...] = (x0, y0, low_x, high_x, low_y, high_y)) -> str:
            left_x, top_y, least_x, most_x, least_y, most_y = area
            across, up = (x - least_x) / (most_x - least_x), (y - least_y) / (most_y - least_y)
            return f"{left_x + width * across:.1f},{top_y + height * (1 - up):.1f}"

        parts.append(f'<rect x="{x0}" y="{y0}" width="{width}" height="{height}" fill="none" stroke="#999"/>')
        parts.append(f'<text x="{x0 + width / 2}" y="{y0 + height + 34}" text-anchor="middle">{PANELS[name]}</text>')
        for step in (0.0, 0.25, 0.5, 0.75, 1.0):
            x, y = low_x + step * (high_x - low_x), low_y + step * (high_y - low_y)
            across, up = place(x, low_y).split(",")[0], place(low_x, y).split(",")[1]
            text = f"{x:.0f}" if high_x > 10 else f"{x:.2f}"
            parts.append(f'<text x="{across}" y="{y0 + height + 16}" text-anchor="middle">{text}</text>')
            parts.append(f'<text x="{x0 - 6}" y="{float(up) + 4:.1f}" text-anchor="end">{y:.3f}</text>')
            parts.append(f'<path d="M{x0},{up} h{width}" stroke="#eee"/>')
        for dial, curve in curves.items():
            line = [place(row["metrics"][name], row["metrics"]["ndcg@20"]) for row in curve]
            parts.append(
                f'<polyline points="{" ".join(line)}" fill="none" stroke="{COLORS[dial]}" stroke-width="1.8"/>'
            )
            for point in line:
                x_text, y_text = point.split(",")
                parts.append(f'<circle cx="{x_text}" cy="{y_text}" r="2.6" fill="{COLORS[dial]}"/>')
        for label, metrics in marked.items():
            x, y = map(float, place(metrics[name], metrics["ndcg@20"]).split(","))
            parts.append(f'<path d="M{x - 6:.1f},{y} h12 M{x:.1f},{y - 6:.1f} v12" stroke="black" stroke-width="2"/>')
            anchor, x = ("end", x - 8) if x > x0 + 0.7 * width else ("start", x + 8)
            parts.append(f'<text x="{x:.1f}" y="{y - 5:.1f}" text-anchor="{anchor}" font-weight="bold">{label}</text>')
    for number, dial in enumerate(curves):
        x, y = left + 150 * number, total_height - 16
        parts.append(f'<rect x="{x}" y="{y - 8}" width="14" height="4" fill="{COLORS[dial]}"/>')
        parts.append(f'<text x="{x + 20}" y="{y}">{dial.replace("_", " ")}</text>')
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
    days = np.random.default_rng(SEED).integers(OLDEST, size=len(ids))
    features = replace(features, added=int(split.past.time.max()) - DAY * days)
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
