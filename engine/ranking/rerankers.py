"""Re-rankers: functions that put the candidates of a slate in another order, or drop some.

To add one, write it in a file of its own, register it below under a name, and name it in a `Policy`.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import NamedTuple

from engine.bundle.model_bundle import ModelBundle
from engine.retrieval.candidates import Query


class Pick(NamedTuple):
    """A track proposed for a slate. Its score can be compared with others of the same source only."""

    track_id: int
    score: float
    source: str


Reranker = Callable[[list[Pick], ModelBundle, Query, Mapping[str, float]], list[Pick]]
"""(picks, bundle, query, weights of the policy) -> picks, best first; it may return more than `Query.limit`."""
RERANKERS: dict[str, Reranker] = {}


def register_reranker(name: str, reranker: Reranker) -> None:
    """Make a re-ranker available to policies.

    Raises:
        ValueError: the name is taken.
    """
    if name in RERANKERS:
        raise ValueError(f"re-ranker {name!r} is already registered")
    RERANKERS[name] = reranker


def keep_order(picks: list[Pick], bundle: ModelBundle, query: Query, weights: Mapping[str, float]) -> list[Pick]:
    """Leave the candidates in the order of their sources and scores."""
    return picks


register_reranker("keep_order", keep_order)
