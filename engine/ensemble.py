"""The configuration of a version: its components, that is, models with their hyperparameters, and their blend weights.

In stored files, settings and commands a configuration is called a recipe and its components are its parts.
"""

from __future__ import annotations

from bisect import bisect_right
from dataclasses import asdict, dataclass, field
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from engine.data.confidence import MAX_WEIGHT, ConfidenceWeights
from engine.models import FAMILIES
from engine.models.als import ALS
from engine.models.base import Trainer
from engine.models.ials import IALS
from engine.models.validation import MAX_EXPONENT


@dataclass(frozen=True)
class ComponentConfig:
    """One component of an ensemble.

    Attributes:
        trainer: the model family with its hyperparameters.
        confidence: how interactions become the confidences that it is fitted on.
        damping: the scores are divided by (listeners of the track)^damping, so that popular tracks rank lower.
        recency: how much more the latest tracks of a listener vote than older ones when they are scored, see
            `engine.data.confidence.recency`; 0 is not at all. Factors do not depend on it.
    """

    trainer: Trainer = field(default_factory=ALS)
    confidence: ConfidenceWeights = field(default_factory=ConfidenceWeights)
    damping: float = 0.0
    recency: float = 0.0

    def __post_init__(self) -> None:
        # The comparisons are written so that NaN fails too.
        if not self.recency >= 0:
            raise ValueError(f"recency: must be 0 or above, not {self.recency}")
        if self.recency > MAX_WEIGHT:
            raise ValueError(f"recency: must be at most {MAX_WEIGHT:g}, not {self.recency}")
        if not -MAX_EXPONENT <= self.damping <= MAX_EXPONENT:
            raise ValueError(f"damping: must be from {-MAX_EXPONENT:g} to {MAX_EXPONENT:g}, not {self.damping}")

    def to_dict(self) -> dict[str, Any]:
        """Return the component, ready for JSON; `from_dict` reads it."""
        hyperparameters = {"family": self.trainer.family, **asdict(self.trainer)}
        other = {"confidence": self.confidence.to_dict(), "damping": self.damping, "recency": self.recency}
        return hyperparameters | other

    @classmethod
    def from_dict(cls, values: dict[str, Any]) -> ComponentConfig:
        """Read a component. Raises ValueError that names the wrong field."""
        hyperparameters = dict(values)
        family, confidence = hyperparameters.pop("family", None), hyperparameters.pop("confidence", {})
        damping, recency = hyperparameters.pop("damping", 0.0), hyperparameters.pop("recency", 0.0)
        if family not in FAMILIES:
            raise ValueError(f"family: {family!r} is not one of {', '.join(FAMILIES)}")
        try:
            weights = ConfidenceWeights(**confidence)
            return cls(FAMILIES[family](**hyperparameters), weights, float(damping), float(recency))
        except TypeError as error:
            raise ValueError(f"{family}: {error}") from error


@dataclass(frozen=True)
class BlendWeights:
    """The weight of each component in the blend.

    Attributes:
        few: for listeners with fewer than `boundary` distinct tracks.
        many: for all other listeners.
    """

    few: tuple[float, ...]
    many: tuple[float, ...]
    boundary: int = 0

    def __post_init__(self) -> None:
        for name, weights in (("few", self.few), ("many", self.many)):
            if not all(abs(weight) <= MAX_WEIGHT for weight in weights):
                raise ValueError(f"weights: those of `{name}` must be numbers up to {MAX_WEIGHT:g}, not {weights}")

    @classmethod
    def equal(cls, components: int) -> BlendWeights:
        """Return equal weights for this number of components."""
        return cls((1 / components,) * components, (1 / components,) * components)

    def for_listeners(self, track_counts: NDArray[np.int64]) -> NDArray[np.float32]:
        """Return the weights of each listener.

        Args:
            track_counts: int64 (listeners,), how many distinct tracks each listener has played.

        Returns:
            float32 (listeners, components).
        """
        return np.where((track_counts < self.boundary)[:, None], self.few, self.many).astype(np.float32)


class EarlyWeights(NamedTuple):
    """The weights of what is known of a listener with a short history.

    Attributes:
        personal: of the standardized scores of the ensemble.
        popularity: of the standardized logarithm of popularity.
        artists: of the share of the artist of a track in the history, 0 to 1.
    """

    personal: float
    popularity: float
    artists: float = 0.0


@dataclass(frozen=True)
class EarlyBlend:
    """The weights of early listeners by how many interactions they have; learnt when a version is trained.

    Attributes:
        counts: numbers of interactions, ascending; none if nothing was learnt.
        weights: for listeners with at least so many interactions, and fewer than the next number.
        below: listeners with fewer interactions than this are early.
    """

    counts: tuple[int, ...] = ()
    weights: tuple[EarlyWeights, ...] = ()
    below: int = 0

    def for_listener(self, interactions: int, cold_below: int) -> EarlyWeights:
        """Return the weights for one listener.

        Where nothing was learnt, popularity gives way to personal scores in proportion to the interactions, until a
        listener is no longer cold.
        """
        if not self.counts:
            share = min(1.0, interactions / cold_below)
            return EarlyWeights(share, 1 - share)
        return self.weights[max(bisect_right(self.counts, interactions) - 1, 0)]

    def to_dict(self) -> dict[str, Any]:
        """Return the blend, ready for JSON; `from_dict` reads it."""
        return {"counts": list(self.counts), "weights": [list(w) for w in self.weights], "below": self.below}

    @classmethod
    def from_dict(cls, values: dict[str, Any]) -> EarlyBlend:
        """Read a blend. Raises ValueError, KeyError or TypeError for one that is not valid."""
        weights = tuple(EarlyWeights(*map(float, w)) for w in values["weights"])
        if len(weights) != len(values["counts"]):
            raise ValueError(f"early: {len(weights)} weights for {len(values['counts'])} counts")
        return cls(tuple(map(int, values["counts"])), weights, int(values["below"]))


PERSONAL_ONLY = EarlyWeights(1.0, 0.0)
NOT_LEARNT = EarlyBlend()


@dataclass(frozen=True)
class EnsembleConfig:
    """One component, or several whose standardized scores are blended.

    Attributes:
        weights: equal ones by default.
    """

    components: tuple[ComponentConfig, ...] = field(default_factory=lambda: (ComponentConfig(),))
    weights: BlendWeights = BlendWeights((), ())

    def __post_init__(self) -> None:
        if not self.components:
            raise ValueError("components: an ensemble needs at least one")
        if self.weights == BlendWeights((), ()):
            object.__setattr__(self, "weights", BlendWeights.equal(len(self.components)))
        if {len(self.weights.few), len(self.weights.many)} != {len(self.components)}:
            raise ValueError(
                f"weights: `few` and `many` must have one weight per component, {len(self.components)} each"
            )

    @property
    def algorithm(self) -> str:
        """The families of the components, such as "ials+rp3beta"."""
        return "+".join(component.trainer.family for component in self.components)

    def to_dict(self) -> dict[str, Any]:
        """Return the configuration, ready for JSON; `from_dict` reads it."""
        w = self.weights
        weights = {"few": list(w.few), "many": list(w.many), "boundary": w.boundary}
        return {"parts": [component.to_dict() for component in self.components], "weights": weights}

    @classmethod
    def from_dict(cls, values: dict[str, Any]) -> EnsembleConfig:
        """Read a configuration. Raises ValueError that names the wrong field."""
        try:
            components = tuple(ComponentConfig.from_dict(part) for part in values["parts"])
            w = values["weights"]
            return cls(components, BlendWeights(tuple(w["few"]), tuple(w["many"]), int(w["boundary"])))
        except (KeyError, TypeError) as error:
            raise ValueError(
                f"the ensemble configuration lacks a field or has one of the wrong type: {error!r}"
            ) from error


AUXILIARY = ComponentConfig(IALS(factors=64, iterations=8), ConfidenceWeights(transform="log"))
"""The factors of a version whose ensemble has none: they have no part in the scores, see `ModelBundle.auxiliary`."""
