"""A fusion of sequence models whose weights are learnt from the newest sessions.

Two stages, both fitted to what was played next in sessions that the components have not seen:

1. Each component is a distribution over the next track, its scores divided by their sum, and the mixture of these has
   the weights of greatest likelihood, by expectation maximisation (Jelinek & Mercer 1980, "Interpolated Estimation of
   Markov Source Parameters from Sparse Data").
2. The best tracks of the mixture are ordered by a conditional logit model (McFadden 1974, "Conditional Logit Analysis
   of Qualitative Choice Behavior"), which also sees how much evidence each component has: a mixture cannot tell a rule
   that was seen a hundred times from one that was seen once.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import minimize

from engine.data.sessions import Sessions
from engine.models.sequences.base import Arrays, ScoredItems, SequenceModel, SequenceTrainer, scores_of, sum_of_equal
from engine.models.sequences.registry import SEQUENCE_FAMILIES
from engine.models.sequences.sequential_rules import SequentialRules
from engine.models.sequences.session_knn import SessionKNN
from engine.models.sequences.session_repeats import SessionRepeats

Floats = NDArray[np.float64]
# Features are log(score + floor): above the floor the order of magnitude counts, below it the score itself, because it
# says little whether a score is tiny or tinier.
_SHARE_FLOOR = 1e-3
_SCORE_FLOOR_QUANTILE = 0.9
_EM_STEPS = 60
_LOGIT_STEPS = 80
_PENALTY = 1.0  # of the squared coefficients of features with deviation 1

DEFAULT_COMPONENTS: tuple[SequenceTrainer, ...] = (
    SequentialRules(),
    SequentialRules(window=1, reverse=0.0, prefix_decay=0.0, source_power=1.0),  # transitions from the last track
    SequentialRules(window=20, distance_power=0.25, reverse=1.0, prefix_decay=0.9, source_power=0.75),  # of one session
    SequentialRules(source_power=1.0, hops=2, rules_per_item=30),
    SessionKNN(),
    SessionRepeats(),
)


@dataclass(frozen=True)
class SequenceFusion(SequenceTrainer):
    """Components and how their weights are learnt.

    Attributes:
        components: the models to combine.
        holdout: share of the newest sessions from which the weights are learnt; the components are then fitted on all.
        examples: how many plays of these sessions, chosen at random, the weights are learnt from.
        candidates: how many of the best tracks of the mixture the second stage orders.
    """

    family: ClassVar[str] = "sequence_fusion"
    components: tuple[SequenceTrainer, ...] = DEFAULT_COMPONENTS
    holdout: float = 0.1
    examples: int = 8_000
    candidates: int = 200

    def __post_init__(self) -> None:
        if not self.components:
            raise ValueError(f"{self.family}: components must name at least one model")
        self._require("holdout", 0, 0.5)
        self._require("examples", 0, 1_000_000)
        self._require("candidates", 1, 10_000)

    def fit(self, sessions: Sessions, items: int, *, seed: int) -> SequenceModel:
        past, newest = sessions.split_newest(self.holdout)
        unweighted = self._assemble(past, items, seed)
        weighted = unweighted.learn_weights(_sample_examples(newest, past, items, self.examples, seed))
        return weighted.refit(sessions, seed=seed)

    def _assemble(self, sessions: Sessions, items: int, seed: int) -> SequenceFusionModel:
        """Fit the components on the items that occur, and weight them equally."""
        count = len(self.components)
        rows = np.unique(sessions.items) if len(sessions.items) else np.zeros(1, np.int32)
        sessions = replace(sessions, items=np.searchsorted(rows, sessions.items).astype(np.int32))
        coefficients = np.zeros(3 * count + 2)
        coefficients[-2] = 1.0  # of the mixture: the second stage keeps its order
        return SequenceFusionModel(
            self,
            items,
            rows=rows,
            models=tuple(component.fit(sessions, len(rows), seed=seed) for component in self.components),
            log_plays=np.log1p(np.bincount(sessions.items, minlength=len(rows))).astype(np.float32),
            mixture=np.full(count, 1 / count),
            floors=np.ones(count),
            coefficients=coefficients,
        )

    def restore(self, arrays: Mapping[str, NDArray[Any]], items: int) -> SequenceModel:
        rows = arrays.get("rows", np.arange(items, dtype=np.int32))  # earlier models store all items
        models = []
        if len(rows) > items or not (rows < items).all():
            raise ValueError(f"the rows of the played items do not fit {items} items")
        for number, component in enumerate(self.components):
            prefix = f"{number}_"
            own = {name.removeprefix(prefix): array for name, array in arrays.items() if name.startswith(prefix)}
            models.append(component.restore(own, len(rows)))
        names = ("log_plays", "mixture", "floors", "coefficients")
        model = SequenceFusionModel(self, items, rows, tuple(models), **{name: arrays[name] for name in names})
        count = len(models)
        if not (len(model.mixture) == len(model.floors) == count and len(model.coefficients) == 3 * count + 2):
            raise ValueError(f"the weights do not fit {count} components")
        if len(model.log_plays) != len(rows):
            raise ValueError(f"the numbers of plays do not fit {len(rows)} items")
        return model

    def to_dict(self) -> dict[str, Any]:
        return super().to_dict() | {"components": [component.to_dict() for component in self.components]}

    @classmethod
    def from_dict(cls, hyperparameters: Mapping[str, Any]) -> SequenceTrainer:
        components = []
        for description in hyperparameters["components"]:
            values = dict(description)
            components.append(SEQUENCE_FAMILIES[values.pop("family")].from_dict(values))
        return cls(**dict(hyperparameters) | {"components": tuple(components)})


@dataclass(frozen=True)
class SequenceFusionModel(SequenceModel):
    """Fitted components with their weights, c components and n items, m of which occur in the sessions.

    Attributes:
        rows: of the items that occur, ascending, int32 (m,). Most of a large catalogue does not.
        models: the components, of m items.
        log_plays: log(1 + plays) of each item that occurs, float32 (m,).
        mixture: weights of the components, float64 (c,).
        floors: of the logarithms of the scores of each component, float64 (c,).
        coefficients: of the features of the second stage, float64 (3c + 2,).
    """

    trainer: SequenceFusion
    rows: NDArray[np.int32]
    models: tuple[SequenceModel, ...]
    log_plays: NDArray[np.float32]
    mixture: Floats
    floors: Floats
    coefficients: Floats

    def score(self, prefix: NDArray[np.integer]) -> ScoredItems:
        scored = self._score_components(prefix)
        rows, shares = self._mix(scored)
        if not len(rows):
            return rows, shares.astype(np.float32)
        candidates = self._best(shares)
        values = self._features(scored, rows[candidates], shares[candidates]) @ self.coefficients
        probabilities = np.exp(values - values.max())
        # Tracks below the candidates keep the order of the mixture, and come after them.
        scores = shares / shares[candidates].max() * probabilities.min()
        scores[candidates] = probabilities
        scores = np.maximum(scores / scores.sum(), np.finfo(np.float32).tiny)
        return self.rows[rows].astype(np.int64), scores.astype(np.float32)

    def arrays(self) -> Arrays:
        arrays: Arrays = {
            f"{number}_{name}": array
            for number, model in enumerate(self.models)
            for name, array in model.arrays().items()
        }
        return arrays | {
            "rows": self.rows,
            "log_plays": self.log_plays,
            "mixture": self.mixture,
            "floors": self.floors,
            "coefficients": self.coefficients,
        }

    def learn_weights(self, examples: Sequence[tuple[NDArray[np.int32], int]]) -> SequenceFusionModel:
        """Return the model with the weights of both stages fitted to examples.

        Args:
            examples: prefixes, and the row of the track that was played next, which occurs in the sessions.
        """
        if not examples:
            return self
        scored = [self._score_components(prefix) for prefix, _ in examples]
        targets = np.searchsorted(self.rows, [target for _, target in examples])
        mixture = _fit_mixture(
            np.array([[_share_of(s, target) for s in row] for row, target in zip(scored, targets, strict=True)])
        )
        floors = np.ones(len(self.models))
        for number in range(len(self.models)):
            scores = np.concatenate([row[number][1] for row in scored])
            if len(scores):
                floors[number] = max(float(np.quantile(scores, _SCORE_FLOOR_QUANTILE)), 1e-12)
        staged = replace(self, mixture=mixture, floors=floors)
        blocks, chosen = [], []
        for row, target in zip(scored, targets, strict=True):
            rows, shares = staged._mix(row)
            candidates = staged._best(shares)
            if len(at := np.flatnonzero(rows[candidates] == target)):
                blocks.append(staged._features(row, rows[candidates], shares[candidates]))
                chosen.append(int(at[0]))
        return replace(staged, coefficients=_fit_logit(blocks, chosen, self.coefficients))

    def refit(self, sessions: Sessions, *, seed: int) -> SequenceFusionModel:
        """Return the model with components that are fitted on other sessions of the same items, and these weights."""
        fitted = self.trainer._assemble(sessions, self.items, seed)
        return replace(self, rows=fitted.rows, models=fitted.models, log_plays=fitted.log_plays)

    def _score_components(self, prefix: NDArray[np.integer]) -> list[ScoredItems]:
        """Return what each component says, by positions in `rows`."""
        at = np.minimum(np.searchsorted(self.rows, prefix), len(self.rows) - 1)
        known = at[self.rows[at] == prefix]
        return [model.score(known) for model in self.models]

    def _mix(self, scored: Sequence[ScoredItems]) -> tuple[NDArray[np.int64], Floats]:
        """Return the items that any component scores, ascending, and their shares in the mixture."""
        shares = [
            weight * scores / max(float(scores.sum()), 1e-30)
            for weight, (_, scores) in zip(self.mixture, scored, strict=True)
        ]
        return sum_of_equal(np.concatenate([rows for rows, _ in scored]), np.concatenate(shares), len(self.rows))

    def _best(self, shares: Floats) -> NDArray[np.int64]:
        """Return the positions of the greatest shares, the first among equals."""
        if len(shares) <= self.trainer.candidates:
            return np.arange(len(shares))
        threshold = np.partition(shares, -self.trainer.candidates)[-self.trainer.candidates]
        above = np.flatnonzero(shares > threshold)
        equal = np.flatnonzero(shares == threshold)[: self.trainer.candidates - len(above)]
        return np.concatenate([above, equal])

    def _features(self, scored: Sequence[ScoredItems], rows: NDArray[np.int64], shares: Floats) -> Floats:
        """Return the features of items, float64 (k, 3c + 2).

        Of each component the logarithms of the score and of its share, and whether there is one; then the logarithms
        of the share in the mixture and of the number of plays.
        """
        columns = []
        for floor, of_component in zip(self.floors, scored, strict=True):
            of_rows, total = scores_of(of_component, rows), float(of_component[1].sum())
            columns += [
                np.log(of_rows + floor),
                np.log(of_rows / max(total, 1e-30) + _SHARE_FLOOR),
                (of_rows > 0).astype(np.float64),
            ]
        return np.stack([*columns, np.log(shares + 1e-12), self.log_plays[rows].astype(np.float64)], axis=1)


def _sample_examples(
    sessions: Sessions, past: Sessions, items: int, count: int, seed: int
) -> list[tuple[NDArray[np.int32], int]]:
    """Return random plays of sessions that are not the first, of items that were played before, as examples."""
    if not count:
        return []
    is_known = np.bincount(past.items, minlength=items) > 0
    plays = sessions.sample_plays(is_known, count, seed)
    begins = sessions.offsets[sessions.session_of_play[plays]]
    return [
        (sessions.items[begin:play], int(sessions.items[play]))
        for begin, play in zip(begins.tolist(), plays.tolist(), strict=True)
    ]


def _share_of(scored: ScoredItems, target: int) -> float:
    rows, scores = scored
    at = int(np.searchsorted(rows, target))
    if at == len(rows) or rows[at] != target:
        return 0.0
    return float(scores[at] / scores.sum())


def _fit_mixture(shares: Floats) -> Floats:
    """Return the weights of greatest likelihood, given the share of each target in each component (examples, c)."""
    shares = shares + 1e-9  # a target that no component knows says nothing about their weights
    weights = np.full(shares.shape[1], 1 / shares.shape[1])
    for _ in range(_EM_STEPS):
        responsibility = shares * weights
        weights = (responsibility / responsibility.sum(axis=1, keepdims=True)).mean(axis=0)
    return np.asarray(weights)


def _fit_logit(blocks: Sequence[Floats], chosen: Sequence[int], start: Floats) -> Floats:
    """Return the coefficients of greatest penalised likelihood.

    Args:
        blocks: the features of the candidates of each example, float64 (k, features).
        chosen: which of them was played.
        start: the coefficients that the penalty pulls to, float64 (features,).
    """
    if not blocks:
        return start
    features = np.concatenate(blocks)
    lengths = np.array([len(block) for block in blocks])
    starts = np.cumsum(lengths) - lengths
    deviation = features.std(axis=0)
    scale = np.where(deviation > 1e-9, deviation, 1.0)
    features = features / scale
    targets = starts + np.array(chosen)
    origin = start * scale

    def loss(coefficients: Floats) -> tuple[float, Floats]:
        values = features @ coefficients
        values -= np.repeat(np.maximum.reduceat(values, starts), lengths)
        weights = np.exp(values)
        totals = np.add.reduceat(weights, starts)
        distance = coefficients - origin
        error = weights / np.repeat(totals, lengths)
        error[targets] -= 1
        likelihood = float(values[targets].sum() - np.log(totals).sum())
        return _PENALTY / 2 * float(distance @ distance) - likelihood, features.T @ error + _PENALTY * distance

    result = minimize(loss, origin, jac=True, method="L-BFGS-B", options={"maxiter": _LOGIT_STEPS})
    return np.asarray(result.x / scale)
