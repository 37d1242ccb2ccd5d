"""The files of approximate indexes beside `model.npz`: built when a version is written, mapped when it is loaded.

faiss is imported inside the functions for the reason that `engine.bundle.ann_index` gives.
"""

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

from engine.bundle.ann_index import FOR_LISTENERS, FOR_TRACKS, TYPICAL_K, AnnIndex, to_euclidean_space
from engine.bundle.model_bundle import ModelBundle
from engine.bundle.npz import DamagedFile
from engine.bundle.workspace import SearchWorkspace

logger = logging.getLogger(__name__)
INDEX_KINDS = ("auto", "exact", "ivf")
Vectors = NDArray[np.float32]
_SAMPLE_QUERIES = 200  # by which recall is measured
_MIN_RECALL = 0.985  # for which the number of probes is chosen
_MAX_SCANNED_SHARE = 0.2  # "auto" builds an index for listeners if an exact search looks at more than this
_VECTORS_PER_LIST = 64  # sampled to learn the centre of a list
_CHUNK = 1 << 24


@dataclass(frozen=True)
class IndexConfig:
    """When a version gets approximate indexes.

    Attributes:
        kind: "exact" for never, "ivf" for always, "auto" for catalogues of more than `above` played tracks, and for
            listeners only if an exact search cannot leave out most of them.
        above: number of tracks.
    """

    kind: str = "auto"
    above: int = 200_000

    def __post_init__(self) -> None:
        if self.kind not in INDEX_KINDS:
            raise ValueError(f"kind: {self.kind!r} is not one of {', '.join(INDEX_KINDS)}")

    def choose_indexes(self, bundle: ModelBundle) -> list[str]:
        """Return the names of the indexes to build for a version."""
        items = bundle.norm_sorted_items
        tracks = items.nonzero_count
        if self.kind == "exact" or tracks < 2 * TYPICAL_K or (self.kind == "auto" and tracks <= self.above):
            return []
        for_listeners = self.kind == "ivf" or (
            items.scanned_share(_sample_listeners(bundle, 32), TYPICAL_K) > _MAX_SCANNED_SHARE
        )
        return [FOR_TRACKS, FOR_LISTENERS] if for_listeners and len(bundle.users) else [FOR_TRACKS]


def index_file_name(name: str) -> str:
    return f"{name}.faiss"


def write_indexes(folder: Path, bundle: ModelBundle, config: IndexConfig) -> dict[str, dict[str, Any]]:
    """Build and write the indexes that the config asks for.

    An index that would not be faster than an exact search is left out; without faiss all are, and a warning is logged.

    Returns:
        The description of each index by name, ready for JSON, as `read_indexes` needs it.
    """
    if not (names := config.choose_indexes(bundle)):
        return {}
    if find_spec("faiss") is None:
        logger.warning("no index for %s: install requirements-faiss.txt; searching exactly", " and ".join(names))
        return {}
    import faiss

    build: dict[str, Callable[[ModelBundle], AnnIndex | None]] = {
        FOR_TRACKS: _build_for_tracks,
        FOR_LISTENERS: _build_for_listeners,
    }
    threads = faiss.omp_get_max_threads()
    descriptions = {}
    for name in names:
        index = build[name](bundle)
        faiss.omp_set_num_threads(threads)  # the searches that measured recall have set it to one
        if index is None:
            logger.info("index %s: not faster than an exact search at a recall of %s", name, _MIN_RECALL)
        else:
            descriptions[name] = _write(folder / index_file_name(name), index)
    return descriptions


def read_indexes(folder: Path, descriptions: dict[str, dict[str, Any]], *, verify: bool = True) -> dict[str, AnnIndex]:
    """Map the index files of a version.

    A file that cannot be read is left out and a warning is logged; its searches are exact then.

    Args:
        descriptions: as `write_indexes` returned them.
        verify: compare the checksums, which reads the files once.
    """
    indexes = {}
    for name, description in descriptions.items():
        try:
            indexes[name] = _read(folder / index_file_name(name), description, verify)
        except (DamagedFile, ImportError, OSError, RuntimeError, KeyError, TypeError) as error:
            logger.warning("index %s is not used, searching exactly: %s: %s", name, type(error).__name__, error)
    return indexes


def _build_for_tracks(bundle: ModelBundle) -> AnnIndex | None:
    items = bundle.norm_sorted_items
    k = items.nonzero_count
    vectors = items.factors[:k] / items.norms[:k, None]
    sample = np.random.default_rng(0).choice(k, min(k, _SAMPLE_QUERIES), replace=False)
    index = _build_faiss_index(vectors, items.rows[:k], cosine=True)
    return _choose_probes(index, vectors, [vectors[sample]], items.rows, None)


def _build_for_listeners(bundle: ModelBundle) -> AnnIndex | None:
    items = bundle.norm_sorted_items
    spread = float(np.std(items.log_popularity)) or 1.0
    # Scale popularity so that it varies as much as a factor does on average.
    scale = float(np.sqrt(np.mean(items.norms.astype(np.float64) ** 2) / max(bundle.factors, 1))) / spread
    vectors = to_euclidean_space(items.factors, items.log_popularity, scale)
    listeners = _sample_listeners(bundle, _SAMPLE_QUERIES)
    # Measure recall for scores by factors alone, and for an even blend with popularity.
    deviation = np.sqrt(np.einsum("bf,fg,bg->b", listeners, items.covariance[:-1, :-1], listeners).clip(0))
    query_groups = [
        np.column_stack([listeners, weights]).astype(np.float32) for weights in (0 * deviation, deviation / spread)
    ]
    return _choose_probes(
        _build_faiss_index(vectors, items.rows, cosine=False), vectors, query_groups, items.rows, scale
    )


def _sample_listeners(bundle: ModelBundle, count: int) -> Vectors:
    """Return the factors of up to `count` listeners whose factors are not zeros: float32 (b, f)."""
    rows = np.random.default_rng(0).permutation(len(bundle.users))[: 4 * count]
    vectors = bundle.user_factors[rows]
    return np.asarray(vectors[vectors.any(axis=1)][:count])


def _build_faiss_index(vectors: Vectors, rows: NDArray[np.int32], *, cosine: bool) -> Any:
    """Build inverted lists of 16-bit numbers, which take half the memory and are as fast."""
    import faiss

    k, width = vectors.shape
    metric = faiss.METRIC_INNER_PRODUCT if cosine else faiss.METRIC_L2
    lists = max(1, min(int(2 * k**0.5), k // 8))
    quantizer = faiss.IndexFlat(width, metric)
    kind = faiss.ScalarQuantizer.QT_fp16
    index = faiss.IndexIVFScalarQuantizer(quantizer, width, lists, kind, metric, False)
    index.cp.niter, index.cp.seed, index.cp.spherical = 8, 1, cosine
    index.cp.min_points_per_centroid, index.cp.max_points_per_centroid = 1, _VECTORS_PER_LIST
    sample = np.random.default_rng(0).permutation(k)[: _VECTORS_PER_LIST * lists]
    index.train(np.ascontiguousarray(vectors[sample]))
    index.add_with_ids(np.ascontiguousarray(vectors), rows.astype(np.int64))
    return index


def _choose_probes(
    faiss_index: Any, vectors: Vectors, query_groups: list[Vectors], rows: NDArray[np.int32], scale: float | None
) -> AnnIndex | None:
    """Choose the fewest probes with which each group of queries has the minimal recall.

    Args:
        vectors: those of the index.
        query_groups: float32 (b, f) each, or (b, f + 1) with the weight of popularity.
        rows: of the vectors, int32 (k,).
        scale: as in `AnnIndex`.

    Returns:
        None if that takes more than a quarter of the lists.
    """
    workspace = SearchWorkspace(np.zeros(int(rows.max()) + 1, np.uint8), np.empty(0, np.int32))
    index = AnnIndex(faiss_index, 4, scale)
    exact = [
        [rows[np.argpartition(vectors @ index.to_index_space(x), -TYPICAL_K)[-TYPICAL_K:]] for x in group]
        for group in query_groups
    ]

    def recall(queries: Vectors, best: list[NDArray[np.int32]]) -> float:
        hits = [np.isin(b, index.search(x, TYPICAL_K, workspace)).mean() for b, x in zip(best, queries, strict=True)]
        return float(np.mean(hits)) if hits else 1.0

    while index.probes <= max(4, index.list_count // 4):
        if all(recall(queries, best) >= _MIN_RECALL for queries, best in zip(query_groups, exact, strict=True)):
            return index
        index = replace(index, probes=2 * index.probes)
    return None


def _write(path: Path, index: AnnIndex) -> dict[str, Any]:
    import faiss

    faiss.write_index(index.index, str(path))
    with open(path, "rb") as f:
        os.fsync(f.fileno())
    checks = {"bytes": path.stat().st_size, "crc32": _crc32(path)}
    return {"probes": index.probes, "scale": index.scale} | checks


def _read(path: Path, description: dict[str, Any], verify: bool) -> AnnIndex:
    import faiss

    if path.stat().st_size != description["bytes"] or (verify and _crc32(path) != description["crc32"]):
        raise DamagedFile(f"{path.name}: size or checksum differs")
    index = faiss.read_index(str(path), faiss.IO_FLAG_MMAP | faiss.IO_FLAG_READ_ONLY)
    # By default each query starts up to 32 threads to fetch what is in the page cache, which is ten times as slow.
    faiss.downcast_InvertedLists(index.invlists).prefetch_nthread = 0
    return AnnIndex(index, int(description["probes"]), description["scale"])


def _crc32(path: Path) -> int:
    crc = 0
    with open(path, "rb") as f:
        while chunk := f.read(_CHUNK):
            crc = isal_zlib.crc32(chunk, crc)
    return crc
