"""Answer one query: the policy's sources in order, sharing one exclude set, until the page is full."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import NamedTuple

import numpy as np

from engine.bundle.exclusion_mask import EXCLUDED, FORBIDDEN, TAKEN, VOTED, SearchWorkspace
from engine.bundle.model_bundle import ModelBundle
from engine.retrieval.candidates import SOURCES, Query
from engine.retrieval.top_k import TopK, empty_top_k


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


class Pick(NamedTuple):
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
    with marked(bundle, query) as marks:
        return ranked(bundle, query, policy, marks)


@contextmanager
def marked(bundle: ModelBundle, query: Query) -> Iterator[SearchWorkspace]:
    """What the query leaves out, marked."""
    with bundle.workspaces.borrow() as marks:
        marks.mask = bundle.workspaces.mask(query.unavailable)
        marks.add(bundle.items.known_rows(query.forbidden), FORBIDDEN)
        marks.add(bundle.items.known_rows(query.exclude), EXCLUDED)
        yield marks


def ranked(
    bundle: ModelBundle, query: Query, policy: Policy, marks: SearchWorkspace, found: TopK | None = None
) -> Ranking:
    """found: what the first source gives, where it is known already."""
    picks = _fill(bundle, query, policy, marks, found)
    if picks or not policy.may_repeat:
        return Ranking(picks)
    marks.drop(EXCLUDED)
    picks = _fill(bundle, query, policy, marks)
    return Ranking(picks, repeats=bool(picks))


def _fill(
    bundle: ModelBundle, query: Query, policy: Policy, marks: SearchWorkspace, found: TopK | None = None
) -> list[Pick]:
    picks: list[Pick] = []
    for name in policy.sources:
        missing = query.limit - len(picks)
        if missing < 1:
            break
        if found is None:
            finder = SOURCES[name](bundle, query, marks)
            found = finder(missing) if finder is not None else empty_top_k()
        marks.drop(VOTED)
        marks.add(found[0], TAKEN)
        picks += picked(bundle, name, found)
        found = None
    return picks


def picked(bundle: ModelBundle, source: str, found: TopK) -> list[Pick]:
    ids, scores = bundle.items.ids[found[0]].tolist(), np.round(found[1], 6).tolist()
    return [Pick(i, score, source) for i, score in zip(ids, scores, strict=True)]
