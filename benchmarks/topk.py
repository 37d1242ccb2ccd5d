"""How long the best 20 tracks take, beside reading all factors from memory once and beside the product with all.

    python -m benchmarks.topk [--sizes 50000,200000,1000000] [--factors 64] [--rounds 40]

One core. "alike": factors all equally long, of which no exact search can leave any out, in 2,000 clusters. "trained":
iALS on the sessions of `nowplaying-sessions` in the folder MUSICREC_DATA, where that is. Ours is the whole of
`recommend`; the ways take turns at each listener; medians. Recall is of the exact answer. The indexes of faiss are
those that a version would have.
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
Way = Callable[[int], set[int]]
"""The row of a listener, or of a track → rows of the best."""


def main() -> None:
    options = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    options.add_argument("--sizes", default="50000,200000,1000000")
    options.add_argument("--factors", type=int, default=64)
    options.add_argument("--rounds", type=int, default=40)
    chosen = options.parse_args()
    head = ("factors", "tracks", "for", "way", "ms", "of one reading", "recall")
    print(f"| {' | '.join(head)} |\n|{'---|' * len(head)}")
    for name, learnt in _worlds([int(n) for n in chosen.sizes.split(",")], chosen.factors):
        with tempfile.TemporaryDirectory() as folder:
            exact, indexed = _versions(Path(folder), learnt)
            with threadpool_limits(1):
                for kind in ("listeners", "similar tracks"):
                    _compare(f"{name} | {len(exact.items):,} | {kind}", exact, indexed, kind, chosen.rounds)
            share = exact.norm_sorted_items.scanned_share(exact.user_factors[:100], K)
            print(f"\n{name}: an exact search looks at {share:.0%}\n")


def _worlds(sizes: list[int], factors: int) -> Iterator[tuple[str, FittedModel]]:
    sessions = Path(os.environ.get("MUSICREC_DATA", "../shared/data")) / "nowplaying-sessions"
    if sessions.is_dir():
        yield "trained", _trained(sessions, factors)
    else:
        print(f"no {sessions}: without trained factors\n")
    for size in sizes:
        yield "alike", _alike(size, factors)


def _alike(size: int, factors: int) -> FittedModel:
    rng = np.random.default_rng(1)
    centres = rng.standard_normal((2000, factors), np.float32)
    tracks = centres[rng.integers(2000, size=size)] + np.float32(0.7) * rng.standard_normal((size, factors), np.float32)
    tracks /= np.linalg.norm(tracks, axis=1)[:, None]
    listeners = centres[rng.integers(2000, size=1000)] + rng.standard_normal((1000, factors), np.float32)
    return FittedModel((listeners, tracks), FoldInConfig())


def _trained(folder: Path, factors: int) -> FittedModel:
    import scipy.sparse as sp

    lines = [line.split() for path in sorted(folder.glob("*.t*")) for line in path.read_text().splitlines()]
    played = [[int(word) for word in line if word.isdigit()] for line in lines]
    rows = np.repeat(np.arange(len(played)), [len(one) for one in played])
    columns = np.unique(np.concatenate([np.array(one, int) for one in played]), return_inverse=True)[1]
    matrix = sp.csr_matrix((np.ones(len(rows), np.float32), (rows, columns)))
    matrix.sum_duplicates()
    matrix.data[:] = 1
    return IALS(factors=factors, iterations=5).fit(matrix, seed=0)


def _versions(folder: Path, learnt: FittedModel) -> tuple[ModelBundle, ModelBundle]:
    """The same, searched exactly and through the indexes of faiss."""
    assert learnt.factors is not None
    listeners, tracks = learnt.factors
    bundle = assemble_bundle(
        version="v",
        items=IdMap(np.arange(len(tracks))),
        popularity=np.ones(len(tracks), np.float32),
        ensemble=EnsembleConfig((ComponentConfig(IALS(factors=tracks.shape[1])),)),
        fitted_models=[learnt],
        users=IdMap(np.arange(len(listeners))),
    )
    versions = [VersionStore(folder / kind) for kind in ("exact", "ivf")]
    for store, kind in zip(versions, ("exact", "ivf"), strict=True):
        store.write(bundle, {}, IndexConfig(kind))
    exact, indexed = (store.load("v", verify=True) for store in versions)
    return exact, indexed


def _compare(name: str, exact: ModelBundle, indexed: ModelBundle, kind: str, rounds: int) -> None:
    listeners = kind == "listeners"
    ways = _ways(exact, indexed, listeners)
    many = len(exact.users) if listeners else len(exact.items)
    seconds: dict[str, list[float]] = {way: [] for way in ways}
    hits: dict[str, list[float]] = {way: [] for way in ways}
    for row in np.random.default_rng(2).choice(many, rounds, replace=False).tolist():
        best = ways["product, argpartition"](row)
        for way, answer in ways.items():
            began = time.perf_counter()
            found = answer(row)
            seconds[way].append(time.perf_counter() - began)
            hits[way].append(len(found & best) / K)
    once = statistics.median(seconds["reading once"])
    for way, times in seconds.items():
        took = statistics.median(times)
        recall = "" if way == "reading once" else f"{statistics.mean(hits[way]):.3f}"
        print(f"| {name} | {way} | {1000 * took:.3f} | {took / once:.2f} | {recall} |", flush=True)


def _ways(exact: ModelBundle, indexed: ModelBundle, listeners: bool) -> dict[str, Way]:
    flat = exact.item_factors.ravel()

    def reading(row: int) -> set[int]:
        np.dot(flat, flat)
        return set()

    ways: dict[str, Way] = {"reading once": reading, "product, argpartition": partial(_product, exact, listeners)}
    ways["exact"] = partial(_ours, exact, listeners)
    if listeners:
        ways["exact, the search alone"] = partial(_search, exact)
    if ("personal" if listeners else "similar") in indexed.ann_indexes:
        ways["inverted lists"] = partial(_ours, indexed, listeners)
    return ways


def _product(bundle: ModelBundle, listeners: bool, row: int) -> set[int]:
    if listeners:
        scores = bundle.item_factors @ bundle.user_factors[row]
    else:
        scores = (bundle.item_factors @ bundle.item_factors[row]) / bundle.item_norms
        scores[row] = -np.inf
    best = np.argpartition(scores, -K)[-K:]
    return set(best[np.argsort(-scores[best])].tolist())


def _ours(bundle: ModelBundle, listeners: bool, row: int) -> set[int]:
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
