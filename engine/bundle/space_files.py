"""The arrays of `model.npz` that hold the auxiliary factors and the content of a version."""

from __future__ import annotations

from dataclasses import asdict
from typing import Any

import numpy as np
from numpy.typing import NDArray

from engine.bundle.factor_space import ContentParameters, ContentSpace, FactorSpace
from engine.bundle.npz import DamagedFile
from engine.data.confidence import ConfidenceWeights
from engine.data.content_features import DENSE_FEATURES
from engine.models.base import FoldInConfig
from engine.models.content_map import ContentMap, FeatureScales, GroupEffects

Arrays = dict[str, NDArray[Any]]


def space_arrays(auxiliary: FactorSpace | None, content: ContentSpace | None) -> tuple[Arrays, dict[str, Any]]:
    """Return the arrays of both by name, and what else describes them, ready for JSON; `pop_spaces` reads them."""
    arrays: Arrays = {}
    description: dict[str, Any] = {}
    if auxiliary is not None:
        arrays |= {
            "auxiliary_factors": auxiliary.item_factors,
            "auxiliary_gramian": auxiliary.gramian,
            "auxiliary_mean": auxiliary.mean,
            "auxiliary_covariance": auxiliary.covariance,
        }
        description["auxiliary"] = {
            "fold_in": asdict(auxiliary.fold_in),
            "confidence": auxiliary.confidence.to_dict(),
            "damping": auxiliary.damping,
        }
    if content is not None:
        content_map, scales = content.map, content.map.scales
        arrays |= {
            "content_vectors": content.vectors,
            "content_user_gramian": content.user_gramian,
            "content_sparse_weights": content_map.sparse_weights,
            "content_dense_weights": content_map.dense_weights,
            "content_intercept": content_map.intercept,
            "content_artists": content_map.artists.ids,
            "content_artist_effects": content_map.artists.effects,
            "content_albums": content_map.albums.ids,
            "content_album_effects": content_map.albums.effects,
            "content_idf": scales.idf,
            "content_magnitude": scales.magnitude,
            "content_dense_scale": scales.dense,
        }
        arrays |= {f"content_mean{i}": mean for i, (mean, _) in enumerate(scales.embeddings.values())}
        description["content"] = {
            "parameters": content.parameters.to_dict(),
            "columns": list(scales.columns),
            "length": scales.length,
            "embeddings": [[name, length] for name, (_, length) in scales.embeddings.items()],
        }
    return arrays, description


def pop_spaces(
    file: str, arrays: Arrays, description: dict[str, Any], factors: int
) -> tuple[FactorSpace | None, ContentSpace | None]:
    """Take the arrays of auxiliary factors and content out of `arrays`; None for what the version has not.

    Args:
        factors: number of factors of the ensemble.

    Raises:
        DamagedFile: an array has another dtype or shape than the others.
        KeyError, TypeError, ValueError: something is missing in the description, or of the wrong kind.
    """
    n = len(arrays["item_ids"])
    auxiliary = None
    if "auxiliary" in description:
        values = description["auxiliary"]
        item_factors = arrays.pop("auxiliary_factors")
        factors = item_factors.shape[-1]
        auxiliary = FactorSpace(
            item_factors=_check(file, "auxiliary_factors", item_factors, np.float32, (n, factors)),
            gramian=_pop(file, arrays, "auxiliary_gramian", np.float64, (factors, factors)),
            mean=_pop(file, arrays, "auxiliary_mean", np.float64, (factors,)),
            covariance=_pop(file, arrays, "auxiliary_covariance", np.float64, (factors, factors)),
            fold_in=FoldInConfig(**values["fold_in"]),
            confidence=ConfidenceWeights(**values["confidence"]),
            damping=float(values["damping"]),
        )
    if "content" not in description:
        return auxiliary, None
    values = description["content"]
    columns, embeddings = tuple(values["columns"]), {}
    for i, (name, length) in enumerate(values["embeddings"]):
        dimension = len(arrays[f"content_mean{i}"])
        embeddings[name] = (_pop(file, arrays, f"content_mean{i}", np.float32, (dimension,)), float(length))
    scales = FeatureScales(
        columns=columns,
        idf=_pop(file, arrays, "content_idf", np.float32, (len(columns),)),
        length=float(values["length"]),
        magnitude=_pop(file, arrays, "content_magnitude", np.float64, (2,)),
        dense=_pop(file, arrays, "content_dense_scale", np.float64, (2, len(DENSE_FEATURES))),
        embeddings=embeddings,
    )
    groups = []
    for kind in ("artist", "album"):
        count = len(arrays[f"content_{kind}s"])
        ids = _pop(file, arrays, f"content_{kind}s", np.int64, (count,))
        groups.append(GroupEffects(ids, _pop(file, arrays, f"content_{kind}_effects", np.float32, (count, factors))))
    content_map = ContentMap(
        scales=scales,
        sparse_weights=_pop(file, arrays, "content_sparse_weights", np.float32, (len(columns), factors)),
        dense_weights=_pop(file, arrays, "content_dense_weights", np.float32, (scales.dense_count, factors)),
        intercept=_pop(file, arrays, "content_intercept", np.float32, (factors,)),
        artists=groups[0],
        albums=groups[1],
    )
    content = ContentSpace(
        map=content_map,
        parameters=ContentParameters.from_dict(values["parameters"]),
        vectors=_pop(file, arrays, "content_vectors", np.float32, (n, factors)),
        user_gramian=_pop(file, arrays, "content_user_gramian", np.float64, (factors, factors)),
    )
    return auxiliary, content


def _pop(file: str, arrays: Arrays, name: str, dtype: type[np.generic], shape: tuple[int, ...]) -> NDArray[Any]:
    return _check(file, name, arrays.pop(name), dtype, shape)


def _check(file: str, name: str, array: NDArray[Any], dtype: type[np.generic], shape: tuple[int, ...]) -> NDArray[Any]:
    if array.dtype != dtype or array.shape != shape:
        raise DamagedFile(f"{file}: {name} is {array.dtype} {array.shape}, expected {np.dtype(dtype).name} {shape}")
    return array
