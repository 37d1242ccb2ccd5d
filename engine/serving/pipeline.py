"""Answer one query: the policy's sources in order, sharing one exclude set, until the page is full."""

from __future__ import annotations

from dataclasses import dataclass, field
from itertools import islice, takewhile

import numpy as np
from numpy.typing import NDArray

from engine.bundle import ModelBundle, Vector
from engine.serving.blend import NEVER
from engine.serving.candidates import SOURCES, Query
from engine.serving.topk import top_k


@dataclass(frozen=True)
class Policy:
    """A named way of using a bundle: which sources, in which order; whether to repeat rather than to stay silent."""

    name: str
    sources: tuple[str, ...]
    may_repeat: bool = True


PERSONAL = Policy("personal", ("personal", "neighbours", "popular", "random"))
EARLY = Policy("early", ("early", "popular", "random"))
POPULAR = Policy("popular", ("popular", "random"))
SIMILAR = Policy("similar", ("similar",), may_repeat=False)


@dataclass(frozen=True)
class Pick:
    """One place of a slate; `source` is the step that gave it, `score` is comparable within a source only."""

    track_id: int
    score: float
    source: str


@dataclass
class Ranking:
    """The answer: picks, best first. `repeats`: nothing new was left, so excluded tracks are offered again."""

    picks: list[Pick] = field(default_factory=list)
    repeats: bool = False

    @property
    def strategy(self) -> str:
        """The first source that contributed; "none" for an empty answer."""
        return self.picks[0].source if self.picks else "none"


def recommend(bundle: ModelBundle, query: Query, policy: Policy) -> Ranking:
    """Answer one query. Reads no clock, no file, no global.

    The page is empty only where the bundle has no tracks that are not forbidden, or where no source of the policy
    knows an answer.
    """
    forbidden = np.zeros(len(bundle.items), np.bool_)
    forbidden[bundle.items.known_rows(query.forbidden)] = True
    excluded = forbidden.copy()
    excluded[bundle.items.known_rows(query.exclude)] = True
    picks = _fill(bundle, query, policy, excluded)
    if picks or not policy.may_repeat:
        return Ranking(picks)
    picks = _fill(bundle, query, policy, forbidden)
    return Ranking(picks, repeats=bool(picks))


def _fill(bundle: ModelBundle, query: Query, policy: Policy, excluded: NDArray[np.bool_]) -> list[Pick]:
    picks: list[Pick] = []
    taken = excluded.copy()
    for name in policy.sources:
        missing = query.limit - len(picks)
        if missing < 1:
            break
        scores = SOURCES[name](bundle, query)
        if scores is None:
            continue
        rows = _best(bundle, name, scores, taken, missing)
        taken[rows] = True
        picks += [Pick(int(bundle.items.ids[r]), round(float(scores[r]), 6), name) for r in rows]
    return picks


def _best(bundle: ModelBundle, name: str, scores: Vector, taken: NDArray[np.bool_], k: int) -> NDArray[np.int64]:
    if name == "popular":  # its order is stored; walking it touches as many rows as the page needs
        walk = takewhile(lambda r: scores[r] > NEVER, bundle.popular_rows)
        return np.fromiter(islice((r for r in walk if not taken[r]), k), np.int64)
    return top_k(np.where(taken, NEVER, scores), k)
