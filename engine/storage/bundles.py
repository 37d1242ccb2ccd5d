"""One version on disk: a folder with `model.npz` and `manifest.json`."""

from __future__ import annotations

import json
import os
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from engine.bundle import ModelBundle
from engine.ids import IdMap
from engine.matrix import Confidence
from engine.storage.npz import DamagedFile, map_npz, save_npz

FORMAT = "musicrec-bundle"
FORMAT_VERSION = 1
MODEL, MANIFEST = "model.npz", "manifest.json"
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


class UnknownFormat(Exception):
    """A bundle of a format this release does not read."""


def write_bundle(folder: Path, bundle: ModelBundle, manifest: dict[str, Any]) -> None:
    """Write both files into an existing `folder`, fsynced. `manifest`: JSON-ready, added to what is always there."""
    derived: dict[str, NDArray[Any]] = {
        "item_ids": bundle.items.ids,
        "user_ids": bundle.users.ids,
        "parameters": _parameters(bundle),
    }
    save_npz(folder / MODEL, derived | {n: getattr(bundle, n) for n in DTYPES if n not in derived})
    write_json(
        folder / MANIFEST,
        {
            "format": FORMAT,
            "format_version": FORMAT_VERSION,
            "version": bundle.version,
            "algorithm": bundle.algorithm,
            "items": len(bundle.items),
            "users": len(bundle.users),
            "factors": bundle.factors,
        }
        | manifest,
    )


def read_manifest(folder: Path) -> dict[str, Any]:
    """The manifest. Raises FileNotFoundError, DamagedFile, or UnknownFormat with the remedy."""
    try:
        manifest = json.loads((folder / MANIFEST).read_bytes())
    except ValueError as error:
        raise DamagedFile(f"{MANIFEST}: not JSON ({error})") from error
    if not isinstance(manifest, dict) or manifest.get("format") != FORMAT:
        raise UnknownFormat(f"{MANIFEST}: not a musicrec bundle; train a new version")
    if manifest.get("format_version") != FORMAT_VERSION:
        found = manifest.get("format_version")
        raise UnknownFormat(
            f"{MANIFEST}: format version {found}, this release reads {FORMAT_VERSION}; train a new version or "
            "run the release that wrote it"
        )
    return manifest


def read_bundle(folder: Path, *, verify: bool = True) -> ModelBundle:
    """The bundle of a version's folder, its arrays mapped. Raises as `read_manifest` and `map_npz` do."""
    manifest = read_manifest(folder)
    arrays = map_npz(folder / MODEL, verify=verify)
    _check(arrays, manifest)
    try:
        parameters = json.loads(arrays.pop("parameters").tobytes())
        if parameters["version"] != folder.name:
            raise DamagedFile(f"{MODEL}: is version {parameters['version']}, in the folder of {folder.name}")
        return ModelBundle(
            version=parameters["version"],
            algorithm=parameters["algorithm"],
            regularization=parameters["regularization"],
            confidence=Confidence(**parameters["confidence"]),
            items=IdMap(arrays.pop("item_ids")),
            users=IdMap(arrays.pop("user_ids")),
            **arrays,
        )
    except (KeyError, TypeError, ValueError) as error:
        raise DamagedFile(f"{MODEL}: {error!r}") from error


def write_json(path: Path, content: Any) -> None:
    """Write and fsync; dates and paths as text."""
    with open(path, "w") as f:
        json.dump(content, f, indent=2, default=str)
        f.flush()
        os.fsync(f.fileno())


def _parameters(bundle: ModelBundle) -> NDArray[np.uint8]:
    """What steers the answers, under the checksum of `model.npz`; the manifest is for people."""
    steering = {
        "version": bundle.version,
        "algorithm": bundle.algorithm,
        "regularization": bundle.regularization,
        "confidence": asdict(bundle.confidence),
    }
    return np.frombuffer(json.dumps(steering).encode(), np.uint8)


def _check(arrays: dict[str, NDArray[Any]], manifest: dict[str, Any]) -> None:
    if arrays.keys() != DTYPES.keys():
        raise DamagedFile(f"{MODEL}: arrays {sorted(arrays)}, expected {sorted(DTYPES)}")
    for name, (dtype, dimensions) in DTYPES.items():
        if arrays[name].dtype != dtype or arrays[name].ndim != dimensions:
            raise DamagedFile(f"{MODEL}: {name} is {arrays[name].dtype} {arrays[name].shape}")
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
            raise DamagedFile(f"{MODEL}: {name} has shape {arrays[name].shape}, {MANIFEST} says {shape}")
