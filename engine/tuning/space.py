"""The search space: the hyperparameters of a family, and the confidence weights that make a difference in the data.

A point of a space is a dict of hyperparameters. Names that begin with "confidence." are fields of `ConfidenceWeights`,
and "damping" and "recency" are fields of `ComponentConfig`; all others are fields of the family's dataclass.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, replace
from typing import Any

import numpy as np

from engine.data.confidence import DAY_SECONDS
from engine.data.user_item_pairs import UserItemPairs
from engine.ensemble import ComponentConfig
from engine.evaluation.questions import NEW
from engine.models import FAMILIES
from engine.models.search_space import Choice, Dimension, NumberRange, SearchSpace

Point = Mapping[str, Any]
_CONFIDENCE_PREFIX = "confidence."
_OF_COMPONENT = ("damping", "recency")
_STEP_SIZE = 0.12  # standard deviation of a random step, as a share of the dimension's width


def search_shares(question: str = NEW) -> dict[str, float]:
    """Return the share of the search time of each family that takes part, the greatest first.

    Args:
        question: one of `engine.evaluation.questions.QUESTIONS`. Families that score only the listener's own tracks do
            not take part in a search for new ones.
    """
    shares = {
        name: family.search_share
        for name, family in FAMILIES.items()
        if family.search_share > 0 and not (family.own_tracks_only and question == NEW)
    }
    return dict(sorted(shares.items(), key=lambda item: -item[1]))


def search_space(family: str, pairs: UserItemPairs) -> SearchSpace:
    """Return the dimensions of a family for these pairs; none for a family without hyperparameters to search."""
    family_space = FAMILIES[family].search_space
    if not family_space or FAMILIES[family].own_tracks_only:  # the order of own tracks has its own confidence weights
        return dict(family_space)
    space = {**family_space, **_confidence_space(pairs)}
    if not (len(pairs) and np.ptp(pairs.newest)):  # imported totals, all of the same age
        space.pop("recency", None)
    return space


def build_component(family: str, point: Point) -> ComponentConfig:
    """Build the component at a point.

    Hyperparameters and confidence weights that are not in the point have the family's defaults.
    """
    confidence = {
        name.removeprefix(_CONFIDENCE_PREFIX): value
        for name, value in point.items()
        if name.startswith(_CONFIDENCE_PREFIX)
    }
    hyperparameters = {
        n: v for n, v in point.items() if not n.startswith(_CONFIDENCE_PREFIX) and n not in _OF_COMPONENT
    }
    of_component = {name: value for name, value in point.items() if name in _OF_COMPONENT}
    trainer = FAMILIES[family](**hyperparameters)
    return ComponentConfig(trainer, replace(trainer.default_confidence, **confidence), **of_component)


def find_point(component: ComponentConfig, space: SearchSpace) -> dict[str, Any] | None:
    """Return the point of a component, moved to the nearest bound where it lies outside a range.

    Returns:
        None if one of its values is not among the choices of the space, or if a hyperparameter that the space does not
        have differs from its default.
    """
    trainer, defaults = component.trainer, type(component.trainer)()
    if any(getattr(trainer, name) != getattr(defaults, name) for name in asdict(trainer).keys() - space.keys()):
        return None
    values = {**asdict(component.trainer), "damping": component.damping, "recency": component.recency}
    values |= {_CONFIDENCE_PREFIX + name: value for name, value in component.confidence.to_dict().items()}
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


def perturb_point(point: Point, space: SearchSpace, rng: np.random.Generator) -> dict[str, Any]:
    """Return a nearby point: about a third of the values, at least one, are moved a random step."""
    names = list(space)
    changed = {name for name in names if rng.random() < 1 / 3} or {names[rng.integers(len(names))]}
    return {name: _perturb(value, space[name], rng) if name in changed else value for name, value in point.items()}


def _perturb(value: Any, dimension: Dimension, rng: np.random.Generator) -> Any:
    if isinstance(dimension, Choice):
        index = dimension.values.index(value) + rng.choice([-1, 1])
        return dimension.values[min(max(index, 0), len(dimension.values) - 1)]
    low, high = np.log([dimension.low, dimension.high]) if dimension.log else (dimension.low, dimension.high)
    position = (np.log(value) if dimension.log else value) + rng.normal() * _STEP_SIZE * (high - low)
    new_value = float(np.clip(position, low, high))
    if dimension.log:
        new_value = min(max(float(np.exp(new_value)), dimension.low), dimension.high)  # exp(log(x)) may exceed x
    return round(new_value) if isinstance(value, int) else new_value


def _confidence_space(pairs: UserItemPairs) -> dict[str, Dimension]:
    """Return the confidence weights that make a difference: a signal is left out where all pairs or none have it."""
    space: dict[str, Dimension] = {"rare": Choice((False, True))}
    if pairs.qualified.any() and not pairs.qualified.all():
        space["bonus"] = NumberRange(0.0, 6.0)
    for name in ("liked", "added", "shared", "skipped"):
        if getattr(pairs, name).any():
            space[name] = NumberRange(0.0, 10.0)
    if pairs.count.max(initial=1) > 1:
        space["transform"] = Choice(("none", "log", "capped", "bm25"))
        space["scale"] = NumberRange(0.1, 10.0, log=True)
    if len(pairs) and (days := float(np.ptp(pairs.newest)) / DAY_SECONDS) > 2:
        space["half_life"] = Choice((0.0, *(round(days * share, 1) for share in (0.1, 0.3, 1.0, 3.0))))
    return {_CONFIDENCE_PREFIX + name: dimension for name, dimension in space.items()}
