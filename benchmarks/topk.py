"""Measure the search for the best 20 tracks, compared with reading all factors once and with NumPy's product.

    python -m benchmarks.topk [--sizes 50000,200000,1000000] [--factors 64] [--rounds 40]

Runs on one core. "equal norms" are factors of the same length in 2,000 clusters; an exact search cannot skip any track.
"trained" is iALS on the sessions of `nowplaying-sessions` in the folder MUSICREC_DATA, if it exists. "exact" and
"inverted lists" time the whole ranking by the engine. The methods take turns for each query, and medians are printed.
Recall is the share of the exact answer that is found. The FAISS indexes are those that a version would have.
"""

import argparse
import os
import statistics
import tempfile
import time
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from threadpoolctl import threadpool_limits

from engine.bundle.index_files import IndexConfig
from engine.bundle.model_bundle import ModelBundle, assemble_bundle
from engine.bundle.versions import VersionStore
from engine.data.id_map import IdMap
from engine.ensemble import ComponentConfig, EnsembleConfig
from engine.models.base import FittedModel, FoldInConfig
from engine.models.ials import IALS
from engine.pipeline import PERSONAL, SIMILAR, recommend
from engine.retrieval.candidates import Query
from engine.retrieval.exact_search import search_top_k
from engine.retrieval.personal import personal_score_terms

K = 20
Vectors = NDArray[np.float32]
Method = Callable[[int], set[int]]
"""Takes the row of a listener or of a track, and returns the rows of the best tracks."""


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--sizes", default="50000,200000,1000000")
    parser.add_argument("--factors", type=int, default=64)
    parser.add_argument("--rounds", type=int, default=40)
    options = parser.parse_args()
    columns = ("factors", "tracks", "query", "method", "ms", "relative to reading once", "recall")
    print(f"| {' | '.join(columns)} |\n|{'---|' * len(columns)}")
    for name, fitted in _fitted_models([int(n) for n in options.sizes.split(",")], options.factors):
        with tempfile.TemporaryDirectory() as folder:
            exact, indexed = _write_versions(Path(folder), fitted)
            with threadpool_limits(1):
                for kind in ("listeners", "similar tracks"):
                    _compare(f"{name} | {len(exact.items):,} | {kind}", exact, indexed, kind, options.rounds)
            share = exact.norm_sorted_items.scanned_share(exact.user_factors[:100], K)
            print(f"\n{name}: an exact search reads {share:.0%} of the tracks\n")


def _fitted_models(sizes: list[int], factors: int) -> Iterator[tuple[str, FittedModel]]:
    sessions = Path(os.environ.get("MUSICREC_DATA", "../shared/data")) / "nowplaying-sessions"
    if sessions.is_dir():
        yield "trained", _fit_sessions(sessions, factors)
    else:
        print(f"{sessions} does not exist: trained factors are left out\n")
    for size in sizes:
        yield "equal norms", _generate_equal_norms(size, factors)


def _generate_equal_norms(size: int, factors: int) -> FittedModel:
    rng = np.random.default_rng(1)
    centres = rng.standard_normal((2000, factors), np.float32)
    tracks = centres[rng.integers(2000, size=size)] + np.float32(0.7) * rng.standard_normal((size, factors), np.float32)
    tracks /= np.linalg.norm(tracks, axis=1)[:, None]
    listeners = centres[rng.integers(2000, size=1000)] + rng.standard_normal((1000, factors), np.float32)
    return FittedModel((listeners, tracks), FoldInConfig())


def _fit_sessions(folder: Path, factors: int) -> FittedModel:
    import scipy.sparse as sp

    lines = [line.split() for path in sorted(folder.glob("*.t*")) for line in path.read_text().splitlines()]
    session_tracks = [[int(word) for word in line if word.isdigit()] for line in lines]
    rows = np.repeat(np.arange(len(session_tracks)), [len(tracks) for tracks in session_tracks])
    columns = np.unique(np.concatenate([np.array(tracks, int) for tracks in session_tracks]), return_inverse=True)[1]
    matrix = sp.csr_matrix((np.ones(len(rows), np.float32), (rows, columns)))
    matrix.sum_duplicates()
    matrix.data[:] = 1
    return IALS(factors=factors, iterations=5).fit(matrix, seed=0)


def _write_versions(folder: Path, fitted: FittedModel) -> tuple[ModelBundle, ModelBundle]:
    """Write and load the model twice: searched exactly, and through FAISS indexes."""
    assert fitted.factors is not None
    listeners, tracks = fitted.factors
    bundle = assemble_bundle(
        version="v",
        items=IdMap(np.arange(len(tracks))),
        popularity=np.ones(len(tracks), np.float32),
        ensemble=EnsembleConfig((ComponentConfig(IALS(factors=tracks.shape[1])),)),
        fitted_models=[fitted],
        users=IdMap(np.arange(len(listeners))),
    )
    stores = [VersionStore(folder / kind) for kind in ("exact", "ivf")]
    for store, kind in zip(stores, ("exact", "ivf"), strict=True):
        store.write(bundle, {}, IndexConfig(kind))
    exact, indexed = (store.load("v", verify=True) for store in stores)
    return exact, indexed


def _compare(name: str, exact: ModelBundle, indexed: ModelBundle, kind: str, rounds: int) -> None:
    listeners = kind == "listeners"
    methods = _methods(exact, indexed, listeners)
    rows = len(exact.users) if listeners else len(exact.items)
    seconds: dict[str, list[float]] = {name: [] for name in methods}
    hits: dict[str, list[float]] = {name: [] for name in methods}
    for row in np.random.default_rng(2).choice(rows, rounds, replace=False).tolist():
        best = methods["product, `argpartition`"](row)
        for method, search in methods.items():
            started = time.perf_counter()
            answer = search(row)
            seconds[method].append(time.perf_counter() - started)
            hits[method].append(len(answer & best) / K)
    reading_once = statistics.median(seconds["reading once"])
    for method, times in seconds.items():
        median = statistics.median(times)
        recall = "" if method == "reading once" else f"{statistics.mean(hits[method]):.3f}"
        print(f"| {name} | {method} | {1000 * median:.3f} | {median / reading_once:.2f} | {recall} |", flush=True)


def _methods(exact: ModelBundle, indexed: ModelBundle, listeners: bool) -> dict[str, Method]:
    flat = exact.item_factors.ravel()

    def read_once(row: int) -> set[int]:
        np.dot(flat, flat)
        return set()

    methods: dict[str, Method] = {
        "reading once": read_once,
        "product, `argpartition`": partial(_multiply_all, exact, listeners),
    }
    methods["exact"] = partial(_recommend, exact, listeners)
    if listeners:
        methods["exact, the search alone"] = partial(_search, exact)
    if ("personal" if listeners else "similar") in indexed.ann_indexes:
        methods["inverted lists"] = partial(_recommend, indexed, listeners)
    return methods


def _multiply_all(bundle: ModelBundle, listeners: bool, row: int) -> set[int]:
    if listeners:
        scores = bundle.item_factors @ bundle.user_factors[row]
    else:
        scores = (bundle.item_factors @ bundle.item_factors[row]) / bundle.item_norms
        scores[row] = -np.inf
    best = np.argpartition(scores, -K)[-K:]
    return set(best[np.argsort(-scores[best])].tolist())


def _recommend(bundle: ModelBundle, listeners: bool, row: int) -> set[int]:
    query = Query(K, user_row=row) if listeners else Query(K, track_id=row, exclude=np.array([row]))
    return {p.track_id for p in recommend(bundle, query, PERSONAL if listeners else SIMILAR).picks}


def _search(bundle: ModelBundle, row: int) -> set[int]:
    query = Query(K, user_row=row)
    with bundle.workspaces.borrow() as workspace:
        terms = personal_score_terms(bundle, query, workspace)
        assert terms is not None
        return set(search_top_k(terms, bundle, workspace, K)[0].tolist())


if __name__ == "__main__":
    main()
