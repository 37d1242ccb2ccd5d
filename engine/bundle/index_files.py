"""Files of faiss beside `model.npz`: built when a version is written, mapped when it is loaded."""

from __future__ import annotations

import logging
import os
from collections.abc import Callable
from dataclasses import dataclass, replace
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np
from isal import isal_zlib
from numpy.typing import NDArray

from engine.bundle.ann_index import FOR_LISTENERS, FOR_TRACKS, AnnIndex, search_space
from engine.bundle.ann_index import TYPICAL_K as _K
from engine.bundle.model_bundle import ModelBundle
from engine.bundle.npz import DamagedFile
from engine.bundle.workspace import SearchWorkspace

logger = logging.getLogger(__name__)
INDEX_KINDS = ("auto", "exact", "ivf")
Vectors = NDArray[np.float32]
_SAMPLES = 200  # queries whose recall is measured
_RECALL = 0.985  # what probes are chosen for
_MUCH = 0.2  # where an exact search looks at more of a large catalogue than this, an index is tried
_PER_LIST = 64  # vectors that its centre is learnt from
_CHUNK = 1 << 24


@dataclass(frozen=True)
class IndexConfig:
    """How the best tracks of a version are found. kind: "exact" always looks at every track that may be among them;
    "ivf" looks through inverted lists; "auto" does so in catalogues of more than `above` tracks that were played, for
    listeners only where an exact search cannot leave out most of them."""

    kind: str = "auto"
    above: int = 200_000

    def __post_init__(self) -> None:
        if self.kind not in INDEX_KINDS:
            raise ValueError(f"kind: {self.kind!r} is not one of {', '.join(INDEX_KINDS)}")

    def wanted(self, bundle: ModelBundle) -> list[str]:
        tracks = bundle.norm_sorted_items.with_factors
        if self.kind == "exact" or tracks < 2 * _K or (self.kind == "auto" and tracks <= self.above):
            return []
        flat = self.kind == "ivf" or bundle.norm_sorted_items.scanned_share(_listeners(bundle, 32), _K) > _MUCH
        return [FOR_TRACKS, FOR_LISTENERS] if flat and len(bundle.users) else [FOR_TRACKS]


def index_file_name(name: str) -> str:
    return f"{name}.faiss"


def write_indexes(folder: Path, bundle: ModelBundle, indexing: IndexConfig) -> dict[str, dict[str, Any]]:
    """Those that are wanted and can be had, and what is needed to read each of them, JSON-ready, by name."""
    if not (wanted := indexing.wanted(bundle)):
        return {}
    if find_spec("faiss") is None:
        logger.warning("no index for %s: install requirements-faiss.txt; searching exactly", " and ".join(wanted))
        return {}
    build: dict[str, Callable[[ModelBundle], AnnIndex | None]] = {FOR_TRACKS: _similar, FOR_LISTENERS: _personal}
    told = {}
    import faiss

    threads = faiss.omp_get_max_threads()
    for name in wanted:
        nearest = build[name](bundle)
        faiss.omp_set_num_threads(threads)  # searching, by which it was measured, leaves one
        if nearest is None:
            logger.info("index %s: not faster than an exact search at a recall of %s", name, _RECALL)
        else:
            told[name] = _write(folder / index_file_name(name), nearest)
    return told


def read_indexes(folder: Path, told: dict[str, dict[str, Any]], *, verify: bool = True) -> dict[str, AnnIndex]:
    """One that cannot be read is left out, and the log says why: what it would find is then searched exactly."""
    nearest = {}
    for name, one in told.items():
        try:
            nearest[name] = _read(folder / index_file_name(name), one, verify)
        except (DamagedFile, ImportError, OSError, RuntimeError, KeyError, TypeError) as error:
            logger.warning("index %s is not used, searching exactly: %s: %s", name, type(error).__name__, error)
    return nearest


def _similar(bundle: ModelBundle) -> AnnIndex | None:
    offered = bundle.norm_sorted_items
    k = offered.with_factors
    vectors = offered.factors[:k] / offered.norms[:k, None]
    sample = np.random.default_rng(0).choice(k, min(k, _SAMPLES), replace=False)
    return _calibrated(_index(vectors, offered.rows[:k], cosine=True), vectors, [vectors[sample]], offered.rows, None)


def _personal(bundle: ModelBundle) -> AnnIndex | None:
    offered = bundle.norm_sorted_items
    spread = float(np.std(offered.listeners)) or 1.0
    scale = float(np.sqrt(np.mean(offered.norms.astype(np.float64) ** 2) / max(bundle.factors, 1))) / spread
    space = search_space(offered.factors, offered.listeners, scale)
    listeners = _listeners(bundle, _SAMPLES)
    deviation = np.sqrt(np.einsum("bf,fg,bg->b", listeners, offered.covariance[:-1, :-1], listeners).clip(0))
    alone, beside_popularity = (np.column_stack([listeners, w]) for w in (0 * deviation, deviation / spread))
    groups = [alone.astype(np.float32), beside_popularity.astype(np.float32)]
    return _calibrated(_index(space, offered.rows, cosine=False), space, groups, offered.rows, scale)


def _listeners(bundle: ModelBundle, most: int) -> Vectors:
    """float32 (b, f), of listeners of whom something is known."""
    some = np.random.default_rng(0).permutation(len(bundle.users))[: 4 * most]
    vectors = bundle.user_factors[some]
    return np.asarray(vectors[vectors.any(axis=1)][:most])


def _index(vectors: Vectors, rows: NDArray[np.int32], *, cosine: bool) -> Any:
    """faiss's, of 16-bit numbers: half the memory, and as fast."""
    import faiss

    k, width = vectors.shape
    metric = faiss.METRIC_INNER_PRODUCT if cosine else faiss.METRIC_L2
    lists = max(1, min(int(2 * k**0.5), k // 8))
    quantizer = faiss.IndexFlat(width, metric)
    kind = faiss.ScalarQuantizer.QT_fp16
    index = faiss.IndexIVFScalarQuantizer(quantizer, width, lists, kind, metric, False)
    index.cp.niter, index.cp.seed, index.cp.spherical = 8, 1, cosine
    index.cp.min_points_per_centroid, index.cp.max_points_per_centroid = 1, _PER_LIST
    sample = np.random.default_rng(0).permutation(k)[: _PER_LIST * lists]
    index.train(np.ascontiguousarray(vectors[sample]))
    index.add_with_ids(np.ascontiguousarray(vectors), rows.astype(np.int64))
    return index


def _calibrated(
    index: Any, vectors: Vectors, groups: list[Vectors], rows: NDArray[np.int32], scale: float | None
) -> AnnIndex | None:
    """With as few probes as the recall of each group needs; None where that is a quarter of the lists.

    vectors: those of the index, of `rows` · groups: what is asked, float32 (b, f), or (b, f + 1) where scale is given.
    """
    marks, nearest = (
        SearchWorkspace(np.zeros(int(rows.max()) + 1, np.uint8), np.empty(0, np.int32)),
        AnnIndex(index, 4, scale),
    )
    exact = [[rows[np.argpartition(vectors @ nearest.asked(x), -_K)[-_K:]] for x in group] for group in groups]

    def recall(group: Vectors, best: list[NDArray[np.int32]]) -> float:
        hits = [np.isin(one, nearest.rows(x, _K, marks)).mean() for one, x in zip(best, group, strict=True)]
        return float(np.mean(hits)) if hits else 1.0

    while nearest.probes <= max(4, nearest.lists // 4):
        if all(recall(*one) >= _RECALL for one in zip(groups, exact, strict=True)):
            return nearest
        nearest = replace(nearest, probes=2 * nearest.probes)
    return None


def _write(path: Path, nearest: AnnIndex) -> dict[str, Any]:
    import faiss

    faiss.write_index(nearest.index, str(path))
    with open(path, "rb") as f:
        os.fsync(f.fileno())
    checks = {"bytes": path.stat().st_size, "crc32": _crc32(path)}
    return {"probes": nearest.probes, "scale": nearest.scale} | checks


def _read(path: Path, told: dict[str, Any], verify: bool) -> AnnIndex:
    import faiss

    if path.stat().st_size != told["bytes"] or (verify and _crc32(path) != told["crc32"]):
        raise DamagedFile(f"{path.name}: size or checksum differs")
    index = faiss.read_index(str(path), faiss.IO_FLAG_MMAP | faiss.IO_FLAG_READ_ONLY)
    # It would start up to 32 threads for each query to fetch what is in the page cache: ten times as slow.
    faiss.downcast_InvertedLists(index.invlists).prefetch_nthread = 0
    return AnnIndex(index, int(told["probes"]), told["scale"])


def _crc32(path: Path) -> int:
    crc = 0
    with open(path, "rb") as f:
        while chunk := f.read(_CHUNK):
            crc = isal_zlib.crc32(chunk, crc)
    return crc
