"""One version on disk: a folder with `model.npz` and `manifest.json`."""

from __future__ import annotations

import json
import os
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from engine.bundle.index_files import IndexConfig, index_file_name, read_indexes, write_indexes
from engine.bundle.model_bundle import ModelBundle, Neighbours
from engine.bundle.norm_sorted_items import NormSortedItems
from engine.bundle.npz import DamagedFile, map_npz, save_npz
from engine.data.confidence import PlayStatistics
from engine.data.id_map import IdMap
from engine.ensemble import EnsembleConfig
from engine.models.base import FoldInConfig

FORMAT = "musicrec-bundle"
FORMAT_VERSION = 3
READABLE = (2, 3)  # 2 has no `searched` arrays: they are computed when it is loaded
MODEL_FILE, MANIFEST_FILE = "model.npz", "manifest.json"
DTYPES: dict[str, tuple[type[np.generic], int]] = {
    "parameters": (np.uint8, 1),
    "item_ids": (np.int64, 1),
    "item_factors": (np.float32, 2),
    "item_norms": (np.float32, 1),
    "gramian": (np.float64, 2),
    "popularity": (np.float32, 1),
    "popular_rows": (np.int64, 1),
    "user_ids": (np.int64, 1),
    "user_factors": (np.float32, 2),
    "user_stamps": (np.int64, 2),
}
SEARCHED: dict[str, type[np.generic]] = {
    "rows": np.int32,
    "factors": np.float32,
    "norms": np.float32,
    "listeners": np.float32,
    "mean": np.float64,
    "covariance": np.float64,
}
NEIGHBOURS: dict[str, type[np.generic]] = {"indptr": np.int64, "indices": np.int32, "weights": np.float32}


class UnsupportedFormat(Exception):
    """A bundle of a format this release does not read."""


def write_bundle(
    folder: Path, bundle: ModelBundle, manifest: dict[str, Any], indexing: IndexConfig | None = None
) -> None:
    """Write the files into an existing `folder`, fsynced. `manifest`: JSON-ready, added to what is always there."""
    indexes = write_indexes(folder, bundle, indexing or IndexConfig())
    derived: dict[str, NDArray[Any]] = {
        "item_ids": bundle.items.ids,
        "user_ids": bundle.users.ids,
        "parameters": _parameters(bundle, indexes),
    }
    searched = {f"searched_{name}": getattr(bundle.norm_sorted_items, name) for name in SEARCHED}
    neighbours = {
        _member(part, name): getattr(lists, name)
        for part, lists in enumerate(bundle.neighbours)
        if lists is not None
        for name in NEIGHBOURS
    }
    save_npz(
        folder / MODEL_FILE,
        derived | {n: getattr(bundle, n) for n in DTYPES if n not in derived} | neighbours | searched,
    )
    write_json(
        folder / MANIFEST_FILE,
        {
            "format": FORMAT,
            "format_version": FORMAT_VERSION,
            "version": bundle.version,
            "algorithm": bundle.algorithm,
            "items": len(bundle.items),
            "users": len(bundle.users),
            "factors": bundle.factors,
            "indexes": indexes,
        }
        | manifest,
    )


def mapped_files(folder: Path) -> tuple[Path, ...]:
    """What stays mapped of a version that is in use: none of it may be changed in place."""
    return folder / MODEL_FILE, *sorted(folder.glob(index_file_name("*")))


def read_manifest(folder: Path) -> dict[str, Any]:
    """The manifest. Raises FileNotFoundError, DamagedFile, or UnknownFormat with the remedy."""
    try:
        manifest = json.loads((folder / MANIFEST_FILE).read_bytes())
    except ValueError as error:
        raise DamagedFile(f"{MANIFEST_FILE}: not JSON ({error})") from error
    if not isinstance(manifest, dict) or manifest.get("format") != FORMAT:
        raise UnsupportedFormat(f"{MANIFEST_FILE}: not a musicrec bundle; train a new version")
    if manifest.get("format_version") not in READABLE:
        found = manifest.get("format_version")
        raise UnsupportedFormat(
            f"{MANIFEST_FILE}: format version {found}, this release reads {' and '.join(map(str, READABLE))}; "
            "train a new version or run the release that wrote it"
        )
    return manifest


def read_bundle(folder: Path, *, verify: bool = True) -> ModelBundle:
    """The bundle of a version's folder, its arrays mapped. Raises as `read_manifest` and `map_npz` do."""
    manifest = read_manifest(folder)
    arrays = map_npz(folder / MODEL_FILE, verify=verify)
    try:
        parameters = json.loads(arrays.pop("parameters").tobytes())
        if parameters["version"] != folder.name:
            raise DamagedFile(f"{MODEL_FILE}: is version {parameters['version']}, in the folder of {folder.name}")
        recipe = EnsembleConfig.from_dict(parameters["recipe"])
        neighbours = tuple(_neighbours(arrays, part, len(arrays["item_ids"])) for part in range(parameters["parts"]))
        searched = _searched(arrays)
        _check(arrays, manifest)
        bundle = ModelBundle(
            version=parameters["version"],
            algorithm=parameters["algorithm"],
            ensemble=recipe,
            factor_part=parameters["factor_part"],
            neighbours=neighbours,
            fold_in=FoldInConfig(**parameters["fold_in"]),
            statistics=PlayStatistics(**parameters["statistics"]),
            items=IdMap(arrays.pop("item_ids")),
            users=IdMap(arrays.pop("user_ids")),
            searched=searched,
            ann_indexes=read_indexes(folder, parameters.get("indexes", {}), verify=verify),
            **arrays,
        )
    except (IndexError, KeyError, TypeError, ValueError) as error:
        raise DamagedFile(f"{MODEL_FILE}: {error!r}") from error
    _ = bundle.norm_sorted_items.bounds  # now, not while somebody waits for an answer
    return bundle


def write_json(path: Path, content: Any) -> None:
    """Write and fsync; dates and paths as text."""
    with open(path, "w") as f:
        json.dump(content, f, indent=2, default=str)
        f.flush()
        os.fsync(f.fileno())


def _parameters(bundle: ModelBundle, indexes: dict[str, dict[str, Any]]) -> NDArray[np.uint8]:
    """What steers the answers, under the checksum of `model.npz`; the manifest is for people."""
    steering = {
        "version": bundle.version,
        "algorithm": bundle.algorithm,
        "recipe": bundle.ensemble.to_dict(),
        "parts": len(bundle.neighbours),
        "factor_part": bundle.factor_part,
        "fold_in": asdict(bundle.fold_in),
        "statistics": asdict(bundle.statistics),
        "indexes": indexes,
    }
    return np.frombuffer(json.dumps(steering).encode(), np.uint8)


def _member(part: int, name: str) -> str:
    return f"neighbours{part}_{name}"


def _neighbours(arrays: dict[str, NDArray[Any]], part: int, items: int) -> Neighbours | None:
    """Takes the arrays of one part out of `arrays`; None for a part without neighbours."""
    if _member(part, "indptr") not in arrays:
        return None
    taken = {name: arrays.pop(_member(part, name)) for name in NEIGHBOURS}
    for name, dtype in NEIGHBOURS.items():
        if taken[name].dtype != dtype or taken[name].ndim != 1:
            raise DamagedFile(f"{MODEL_FILE}: {_member(part, name)} is {taken[name].dtype} {taken[name].shape}")
    if not len(taken["indptr"]) == items + 1 or not taken["indptr"][-1] == len(taken["indices"]) == len(
        taken["weights"]
    ):
        raise DamagedFile(f"{MODEL_FILE}: the neighbours of part {part} do not fit {items} tracks")
    return Neighbours(**taken)


def _searched(arrays: dict[str, NDArray[Any]]) -> NormSortedItems | None:
    """Takes its arrays out of `arrays`; None for a version written without them."""
    if not any(name.startswith("searched_") for name in arrays):
        return None
    taken = {name: arrays.pop(f"searched_{name}") for name in SEARCHED}
    k, width = len(taken["rows"]), arrays["item_factors"].shape[1]
    shapes: dict[str, tuple[int, ...]] = {"factors": (k, width), "mean": (width + 1,)}
    shapes["covariance"] = (width + 1, width + 1)
    for name, dtype in SEARCHED.items():
        if taken[name].dtype != dtype or taken[name].shape != shapes.get(name, (k,)):
            raise DamagedFile(f"{MODEL_FILE}: searched_{name} is {taken[name].dtype} {taken[name].shape}")
    if k and not 0 <= int(taken["rows"].min()) <= int(taken["rows"].max()) < len(arrays["item_ids"]):
        raise DamagedFile(f"{MODEL_FILE}: searched_rows are not those of {len(arrays['item_ids'])} tracks")
    return NormSortedItems(**taken)


def _check(arrays: dict[str, NDArray[Any]], manifest: dict[str, Any]) -> None:
    expected_names = DTYPES.keys() - {"parameters"}
    if arrays.keys() != expected_names:
        raise DamagedFile(f"{MODEL_FILE}: arrays {sorted(arrays)}, expected {sorted(expected_names)}")
    for name in expected_names:
        dtype, dimensions = DTYPES[name]
        if arrays[name].dtype != dtype or arrays[name].ndim != dimensions:
            raise DamagedFile(f"{MODEL_FILE}: {name} is {arrays[name].dtype} {arrays[name].shape}")
    n, m, f = manifest.get("items"), manifest.get("users"), manifest.get("factors")
    expected: dict[str, tuple[int | None, ...]] = {
        "item_factors": (n, f),
        "user_factors": (m, f),
        "user_stamps": (m, 2),
        "gramian": (f, f),
    }
    expected |= {"item_ids": (n,), "user_ids": (m,), "item_norms": (n,), "popularity": (n,), "popular_rows": (n,)}
    for name, shape in expected.items():
        if arrays[name].shape != shape:
            raise DamagedFile(f"{MODEL_FILE}: {name} has shape {arrays[name].shape}, {MANIFEST_FILE} says {shape}")
