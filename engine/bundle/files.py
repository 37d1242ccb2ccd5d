"""One version on disk: a folder with `model.npz`, `judged.npz`, `manifest.json` and possibly index files.

`judged.npz` is the model with which the report of the version was made. It was fitted on the older plays only, and is
evaluated again, on newer plays, when the next version is compared with this one. It is not loaded by serving.
"""

from __future__ import annotations

import json
import os
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from engine.bundle.index_files import IndexConfig, index_file_name, read_indexes, write_indexes
from engine.bundle.live_lists import LiveLists
from engine.bundle.model_bundle import ModelBundle, Neighbours
from engine.bundle.norm_sorted_items import NormSortedItems
from engine.bundle.npz import DamagedFile, map_npz, save_npz
from engine.bundle.space_files import pop_spaces, space_arrays
from engine.data.confidence import PlayStatistics
from engine.data.id_map import IdMap
from engine.data.track_features import TrackFeatures
from engine.ensemble import NOT_LEARNT, EarlyBlend, EnsembleConfig
from engine.models.base import FoldInConfig
from engine.models.listening_context import ContextModel
from engine.models.sequences import sequence_from_arrays
from engine.models.sequences.base import SequenceModel

FORMAT = "musicrec-bundle"
FORMAT_VERSION = 5
# Version 2 has no sorted items, which are computed when it is loaded; versions 2 and 3 have no features of tracks,
# no auxiliary factors and no content; stamps of versions 2 to 4 have no checksum, and these have no
# model of sequences.
READABLE_VERSIONS = (2, 3, 4, 5)
FIRST_VERSION_WITH_FEATURES = 4
MODEL_FILE, JUDGED_FILE, MANIFEST_FILE = "model.npz", "judged.npz", "manifest.json"
# The arrays of model.npz named like an attribute of the bundle: dtype and number of dimensions.
BUNDLE_ARRAYS: dict[str, tuple[type[np.generic], int]] = {
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
# The attributes of the sorted items: name in the file and dtype.
SORTED_ITEMS_ARRAYS: dict[str, tuple[str, type[np.generic]]] = {
    "rows": ("searched_rows", np.int32),
    "factors": ("searched_factors", np.float32),
    "norms": ("searched_norms", np.float32),
    "log_popularity": ("searched_listeners", np.float32),
    "mean": ("searched_mean", np.float64),
    "covariance": ("searched_covariance", np.float64),
}
# The attributes of the features of tracks: dtype. In the file their names begin with "track_".
FEATURES_ARRAYS: dict[str, type[np.generic]] = {
    "artist": np.int64,
    "album": np.int64,
    "recording": np.int64,
    "released": np.int32,
    "added": np.int64,
}
SEQUENCE_PREFIX = "sequence_"
# The arrays of the contexts: dtype. They are stored only if contexts count.
CONTEXT_ARRAYS: dict[str, type[np.generic]] = {"context_codes": np.int64, "context_vectors": np.float32}
# The attributes of the neighbours of a component: dtype. In the file their names begin with "neighbours<number>_".
NEIGHBOURS_ARRAYS: dict[str, type[np.generic]] = {"indptr": np.int64, "indices": np.int32, "weights": np.float32}


class UnsupportedFormat(Exception):
    """The bundle has a format that this release does not read."""


def write_bundle(
    folder: Path,
    bundle: ModelBundle,
    manifest: dict[str, Any],
    index_config: IndexConfig | None = None,
    judged: ModelBundle | None = None,
) -> None:
    """Write the files of a version into an existing folder, and fsync them.

    Args:
        manifest: JSON-ready, added to what every manifest contains.
        judged: the model with which the report was made; its listeners are not stored.
    """
    indexes = write_indexes(folder, bundle, index_config or IndexConfig())
    _write_model(folder / MODEL_FILE, bundle, indexes)
    content = {"format": FORMAT, "format_version": FORMAT_VERSION, "version": bundle.version}
    content |= {"algorithm": bundle.algorithm, **_sizes(bundle), "indexes": indexes}
    if judged is not None:
        item_side = replace(judged.without_listeners(), version=bundle.version)
        _write_model(folder / JUDGED_FILE, item_side, {})
        content["judged"] = _sizes(item_side)
    write_json(folder / MANIFEST_FILE, content | manifest)


def _sizes(bundle: ModelBundle) -> dict[str, int]:
    return {"items": len(bundle.items), "users": len(bundle.users), "factors": bundle.factors}


def _write_model(path: Path, bundle: ModelBundle, indexes: dict[str, Any]) -> None:
    spaces, description = space_arrays(bundle.auxiliary, bundle.content)
    # Everything that determines recommendations is in the file, under its checksum; the manifest is for people.
    parameters = {
        "version": bundle.version,
        "algorithm": bundle.algorithm,
        "recipe": bundle.ensemble.to_dict(),
        "early": bundle.early.to_dict(),
        "parts": len(bundle.neighbours),
        "factor_part": bundle.factor_component,
        "fold_in": asdict(bundle.fold_in),
        "statistics": asdict(bundle.statistics),
        "indexes": indexes,
        **description,
    }
    context = bundle.context
    if context is not None:
        parameters["context"] = {"weights": dict(context.weights)}
    arrays: dict[str, NDArray[Any]] = {
        "item_ids": bundle.items.ids,
        "user_ids": bundle.users.ids,
        "parameters": np.frombuffer(json.dumps(parameters).encode(), np.uint8),
    }
    arrays |= {name: getattr(bundle, name) for name in BUNDLE_ARRAYS if name not in arrays}
    for component, neighbours in enumerate(bundle.neighbours):
        if neighbours is not None:
            arrays |= {_neighbours_name(component, name): getattr(neighbours, name) for name in NEIGHBOURS_ARRAYS}
    arrays |= {f"track_{name}": getattr(bundle.features, name) for name in FEATURES_ARRAYS}
    arrays |= spaces
    if bundle.sequence is not None:
        arrays |= {SEQUENCE_PREFIX + name: array for name, array in bundle.sequence.to_arrays().items()}
    if context is not None:
        arrays |= {"context_codes": context.codes, "context_vectors": context.vectors}
    items = bundle.norm_sorted_items
    arrays |= {name: getattr(items, attribute) for attribute, (name, _) in SORTED_ITEMS_ARRAYS.items()}
    save_npz(path, arrays)


def mapped_files(folder: Path) -> tuple[Path, ...]:
    """Return the files that stay mapped while a version is in use; they must not be changed in place."""
    return folder / MODEL_FILE, *sorted(folder.glob(index_file_name("*")))


def read_manifest(folder: Path) -> dict[str, Any]:
    """Read the manifest of a version.

    Raises:
        FileNotFoundError: there is none.
        DamagedFile: it is not JSON.
        UnsupportedFormat: another release wrote it; the message says what to do.
    """
    try:
        manifest = json.loads((folder / MANIFEST_FILE).read_bytes())
    except ValueError as error:
        raise DamagedFile(f"{MANIFEST_FILE}: not JSON ({error})") from error
    if not isinstance(manifest, dict) or manifest.get("format") != FORMAT:
        raise UnsupportedFormat(f"{MANIFEST_FILE}: not a musicrec bundle; train a new version")
    if manifest.get("format_version") not in READABLE_VERSIONS:
        raise UnsupportedFormat(
            f"{MANIFEST_FILE}: format version {manifest.get('format_version')}, "
            f"this release reads {', '.join(map(str, READABLE_VERSIONS[:-1]))} and {READABLE_VERSIONS[-1]}; "
            "train a new version or run the release that wrote it"
        )
    return manifest


def read_bundle(folder: Path, *, verify: bool = True) -> ModelBundle:
    """Load the version of a folder, with its arrays mapped.

    Args:
        verify: compare the checksums, which reads the files once.

    Raises:
        FileNotFoundError, DamagedFile, UnsupportedFormat: as `read_manifest` and `map_npz` do; the message names the
            file and the fault.
    """
    return _read_model(folder / MODEL_FILE, read_manifest(folder), verify)


def read_judged(folder: Path) -> ModelBundle:
    """Load the model with which the report of a version was made: the version without its listeners.

    Raises:
        FileNotFoundError, DamagedFile, UnsupportedFormat: as `read_bundle` does. Versions of older releases, and those
            that were not evaluated, have no such file.
    """
    return _read_model(folder / JUDGED_FILE, read_manifest(folder).get("judged", {}), verify=True)


def _read_model(path: Path, sizes: dict[str, Any], verify: bool) -> ModelBundle:
    """Load the arrays of one file, whose shapes must be those of `sizes`."""
    arrays = map_npz(path, verify=verify)
    folder = path.parent
    try:
        parameters = json.loads(arrays.pop("parameters").tobytes())
        if parameters["version"] != folder.name:
            raise DamagedFile(f"{path.name}: is version {parameters['version']}, in the folder of {folder.name}")
        ensemble = EnsembleConfig.from_dict(parameters["recipe"])
        item_count = len(arrays["item_ids"])
        neighbours = tuple(_pop_neighbours(path.name, arrays, i, item_count) for i in range(parameters["parts"]))
        stored_items = _pop_sorted_items(path.name, arrays)
        features = _pop_features(path.name, arrays)
        sequence = _pop_sequence(path.name, arrays)
        factor_count = arrays["item_factors"].shape[-1]
        auxiliary, content = pop_spaces(path.name, arrays, parameters, factor_count)
        width = factor_count if auxiliary is None else auxiliary.item_factors.shape[1]
        context = _pop_context(path.name, arrays, parameters.get("context"), width)
        if arrays["user_stamps"].shape[-1] == 2:  # with a checksum that no history has, so that they are folded in
            arrays["user_stamps"] = np.pad(arrays["user_stamps"], ((0, 0), (0, 1)))
        _check_shapes(path.name, arrays, sizes)
        bundle = ModelBundle(
            version=parameters["version"],
            algorithm=parameters["algorithm"],
            ensemble=ensemble,
            early=EarlyBlend.from_dict(parameters["early"]) if "early" in parameters else NOT_LEARNT,
            factor_component=parameters["factor_part"],
            neighbours=neighbours,
            fold_in=FoldInConfig(**parameters["fold_in"]),
            statistics=PlayStatistics(**parameters["statistics"]),
            items=IdMap(arrays.pop("item_ids")),
            users=IdMap(arrays.pop("user_ids")),
            stored_items=stored_items,
            features=features,
            auxiliary=auxiliary,
            content=content,
            sequence=sequence,
            context=context,
            live=LiveLists(),
            trained=None,
            ann_indexes=read_indexes(folder, parameters.get("indexes", {}), verify=verify),
            **arrays,
        )
    except (IndexError, KeyError, TypeError, ValueError) as error:
        raise DamagedFile(f"{path.name}: {error!r}") from error
    _ = bundle.norm_sorted_items.block_bounds  # compute them now rather than in the first request
    return bundle


def write_json(path: Path, content: Any) -> None:
    """Write JSON and fsync it; dates and paths become text."""
    with open(path, "w") as f:
        json.dump(content, f, indent=2, default=str)
        f.flush()
        os.fsync(f.fileno())


def _neighbours_name(component: int, name: str) -> str:
    return f"neighbours{component}_{name}"


def _pop_neighbours(file: str, arrays: dict[str, NDArray[Any]], component: int, item_count: int) -> Neighbours | None:
    """Take the arrays of one component out of `arrays`; None if it has no neighbours."""
    if _neighbours_name(component, "indptr") not in arrays:
        return None
    popped = {name: arrays.pop(_neighbours_name(component, name)) for name in NEIGHBOURS_ARRAYS}
    for name, dtype in NEIGHBOURS_ARRAYS.items():
        if popped[name].dtype != dtype or popped[name].ndim != 1:
            full_name = _neighbours_name(component, name)
            raise DamagedFile(f"{file}: {full_name} is {popped[name].dtype} {popped[name].shape}")
    neighbours = Neighbours(**popped)
    entries = len(neighbours.indices)
    if len(neighbours.indptr) != item_count + 1 or not neighbours.indptr[-1] == entries == len(neighbours.weights):
        raise DamagedFile(f"{file}: the neighbours of component {component} do not fit {item_count} tracks")
    return neighbours


def _pop_sorted_items(file: str, arrays: dict[str, NDArray[Any]]) -> NormSortedItems | None:
    """Take the arrays of the sorted items out of `arrays`; None for a version written without them."""
    if not any(name in arrays for name, _ in SORTED_ITEMS_ARRAYS.values()):
        return None
    popped = {attribute: arrays.pop(name) for attribute, (name, _) in SORTED_ITEMS_ARRAYS.items()}
    k, width = len(popped["rows"]), arrays["item_factors"].shape[1]
    shapes: dict[str, tuple[int, ...]] = {"factors": (k, width), "mean": (width + 1,)}
    shapes["covariance"] = (width + 1, width + 1)
    for attribute, (name, dtype) in SORTED_ITEMS_ARRAYS.items():
        array = popped[attribute]
        if array.dtype != dtype or array.shape != shapes.get(attribute, (k,)):
            raise DamagedFile(f"{file}: {name} is {array.dtype} {array.shape}")
    item_count = len(arrays["item_ids"])
    if k and not 0 <= int(popped["rows"].min()) <= int(popped["rows"].max()) < item_count:
        raise DamagedFile(f"{file}: searched_rows has rows beyond its {item_count} tracks")
    return NormSortedItems(**popped)


def _pop_features(file: str, arrays: dict[str, NDArray[Any]]) -> TrackFeatures:
    """Take the features of tracks out of `arrays`; those of a version written without them are unknown."""
    if not any(f"track_{name}" in arrays for name in FEATURES_ARRAYS):
        return TrackFeatures.unknown(arrays["item_ids"])
    popped = {name: arrays.pop(f"track_{name}") for name in FEATURES_ARRAYS}
    for name, dtype in FEATURES_ARRAYS.items():
        if popped[name].dtype != dtype or popped[name].shape != arrays["item_ids"].shape:
            raise DamagedFile(f"{file}: track_{name} is {popped[name].dtype} {popped[name].shape}")
    return TrackFeatures(**popped)


def _pop_sequence(file: str, arrays: dict[str, NDArray[Any]]) -> SequenceModel | None:
    """Take the arrays of the model of sequences out of `arrays`; None for a version without one."""
    names = [name for name in arrays if name.startswith(SEQUENCE_PREFIX)]
    if not names:
        return None
    sequence = sequence_from_arrays({name.removeprefix(SEQUENCE_PREFIX): arrays.pop(name) for name in names})
    if sequence.items != len(arrays["item_ids"]):
        raise DamagedFile(f"{file}: the model of sequences has {sequence.items} tracks")
    return sequence


def _pop_context(
    file: str, arrays: dict[str, NDArray[Any]], description: dict[str, Any] | None, factors: int
) -> ContextModel | None:
    """Take the arrays of the contexts out of `arrays`; None for a version without them."""
    if description is None:
        return None
    popped = {name: arrays.pop(name) for name in CONTEXT_ARRAYS}
    count = len(popped["context_codes"])
    shapes = {"context_codes": (count,), "context_vectors": (count, factors)}
    for name, dtype in CONTEXT_ARRAYS.items():
        if popped[name].dtype != dtype or popped[name].shape != shapes[name]:
            raise DamagedFile(f"{file}: {name} is {popped[name].dtype} {popped[name].shape}")
    weights = {str(kind): float(weight) for kind, weight in description["weights"].items()}
    return ContextModel(popped["context_codes"], popped["context_vectors"], weights)


def _check_shapes(file: str, arrays: dict[str, NDArray[Any]], sizes: dict[str, Any]) -> None:
    expected_names = BUNDLE_ARRAYS.keys() - {"parameters"}
    if arrays.keys() != expected_names:
        raise DamagedFile(f"{file}: arrays {sorted(arrays)}, expected {sorted(expected_names)}")
    for name in expected_names:
        dtype, dimensions = BUNDLE_ARRAYS[name]
        if arrays[name].dtype != dtype or arrays[name].ndim != dimensions:
            raise DamagedFile(f"{file}: {name} is {arrays[name].dtype} {arrays[name].shape}")
    n, m, f = sizes.get("items"), sizes.get("users"), sizes.get("factors")
    shapes: dict[str, tuple[int | None, ...]] = {
        "item_factors": (n, f),
        "user_factors": (m, f),
        "user_stamps": (m, 3),
        "gramian": (f, f),
    }
    shapes |= {"item_ids": (n,), "user_ids": (m,), "item_norms": (n,), "popularity": (n,), "popular_rows": (n,)}
    for name, shape in shapes.items():
        if arrays[name].shape != shape:
            raise DamagedFile(f"{file}: {name} has shape {arrays[name].shape}, {MANIFEST_FILE} says {shape}")
