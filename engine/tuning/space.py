"""Where to look: the hyperparameters of each family, and those of the confidences that the data can tell apart."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, replace
from typing import Any

import numpy as np

from engine.data.confidence import DAY_SECONDS, ConfidenceWeights
from engine.data.user_item_pairs import UserItemPairs
from engine.ensemble import ComponentConfig
from engine.models import FAMILIES
from engine.models.search_space import Choice, Dimension, NumberRange, SearchSpace

_CONFIDENCE = "confidence."
_STEP = 0.12  # of a dimension's width


def search_shares() -> dict[str, float]:
    """Return the share of the search time of each family that takes part, the greatest first."""
    shares = {name: family.search_share for name, family in FAMILIES.items() if family.search_share > 0}
    return dict(sorted(shares.items(), key=lambda item: -item[1]))


def space_of(family: str, pairs: UserItemPairs) -> SearchSpace:
    """The dimensions of a family on these pairs, by field; those of the confidence begin with "confidence."."""
    own = FAMILIES[family].search_space
    if not own:
        return {}
    return {**own} | {_CONFIDENCE + name: dimension for name, dimension in _confidences(pairs).items()}


def part_at(family: str, point: Mapping[str, Any]) -> ComponentConfig:
    """The part at a point of its space; what the point does not name has the family's default, and a confidence of
    1."""
    own = {n: v for n, v in point.items() if not n.startswith(_CONFIDENCE) and n != "damping"}
    confidence = {n.removeprefix(_CONFIDENCE): v for n, v in point.items() if n.startswith(_CONFIDENCE)}
    trainer = FAMILIES[family](**own)
    return ComponentConfig(
        trainer, replace(ConfidenceWeights(bonus=0.0, liked=0.0), **confidence), point.get("damping", 0.0)
    )


def point_of(part: ComponentConfig, space: SearchSpace) -> dict[str, Any] | None:
    """Where a part is in a space, the nearest point within its bounds; None where it has a word the space has not."""
    values = {**asdict(part.trainer), "damping": part.damping}
    values |= {_CONFIDENCE + n: v for n, v in part.confidence.to_dict().items()}
    point: dict[str, Any] = {}
    for name, dimension in space.items():
        value = values[name]
        if isinstance(dimension, Choice):
            if value not in dimension.values:
                return None
            point[name] = value
        else:
            clipped = min(max(value, dimension.low), dimension.high)
            point[name] = int(clipped) if isinstance(value, int) else float(clipped)
    return point


def nearby(point: Mapping[str, Any], space: SearchSpace, rng: np.random.Generator) -> dict[str, Any]:
    """A point with about a third of its values, at least one, moved a little."""
    names = list(space)
    moved = {name for name in names if rng.random() < 1 / 3} or {names[rng.integers(len(names))]}
    return {name: _moved(value, space[name], rng) if name in moved else value for name, value in point.items()}


def _moved(value: Any, dimension: Dimension, rng: np.random.Generator) -> Any:
    if isinstance(dimension, Choice):
        place = dimension.values.index(value) + rng.choice([-1, 1])
        return dimension.values[min(max(place, 0), len(dimension.values) - 1)]
    low, high = np.log([dimension.low, dimension.high]) if dimension.log else (dimension.low, dimension.high)
    at = (np.log(value) if dimension.log else value) + rng.normal() * _STEP * (high - low)
    at = float(np.clip(at, low, high))
    result = min(max(float(np.exp(at)), dimension.low), dimension.high) if dimension.log else at
    return round(result) if isinstance(value, int) else result


def _confidences(pairs: UserItemPairs) -> dict[str, Dimension]:
    """Only what differs between plays can be weighed."""
    found: dict[str, Dimension] = {"rare": Choice((False, True))}
    if pairs.qualified.any() and not pairs.qualified.all():
        found["bonus"] = NumberRange(0.0, 6.0)
    for name in ("liked", "added", "shared", "skipped"):
        if getattr(pairs, name).any():
            found[name] = NumberRange(0.0, 10.0)
    if pairs.count.max(initial=1) > 1:
        found |= {"transform": Choice(("none", "log", "capped", "bm25")), "scale": NumberRange(0.1, 10.0, log=True)}
    if len(pairs) and (days := float(np.ptp(pairs.newest)) / DAY_SECONDS) > 2:
        found["half_life"] = Choice((0.0, *(round(days * share, 1) for share in (0.1, 0.3, 1.0, 3.0))))
    return found
