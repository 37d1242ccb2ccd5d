"""Build the slate for one query: candidates -> filters -> ranking -> slate, driven by a policy.

The public API of serving:

- `recommend(bundle, query, policy)` returns a `Ranking`: its `picks`, best first, and whether they are repeats.
- `Query` (`engine.retrieval.candidates`) holds the listener's history, the tracks to leave out and the length of the
  slate.
- `Policy` holds the candidate sources in order, the re-rankers and their weights. `POLICIES` holds the registered
  policies by name; `register_policy` adds one. Compare policies by `name`.
- `SOURCES` (`engine.retrieval.candidates`) and `RERANKERS` (`engine.ranking.rerankers`) hold the candidate sources and
  the re-rankers by name. A `Pick` carries the name of its source; store names, never positions in a registry.

Everything is a pure function of its arguments: no clock, no files, no global state beside the registries.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

import numpy as np

from engine.bundle.model_bundle import ModelBundle
from engine.bundle.workspace import EXCLUDED, FORBIDDEN, TAKEN, SearchWorkspace
from engine.ranking.rerankers import RERANKERS, Pick
from engine.retrieval.candidates import SOURCES, Query

__all__ = [
    "EARLY",
    "PERSONAL",
    "POLICIES",
    "POPULAR",
    "REPEATS",
    "SIMILAR",
    "Pick",
    "Policy",
    "Ranking",
    "recommend",
    "register_policy",
]


@dataclass(frozen=True)
class Policy:
    """A named way to build a slate from a bundle.

    Attributes:
        name: the key in `POLICIES`.
        sources: names in `SOURCES`; each fills the positions that the earlier ones left empty.
        may_repeat: offer the tracks of `Query.exclude` after all if there is nothing else.
        offers_known: offer the tracks that the listener knows, although the request does not ask for them.
        rerankers: names in `RERANKERS`, applied in this order.
        weights: numbers that the re-rankers read, by name.
        candidate_factor: retrieve this many times the length of the slate, so that re-rankers have a choice.
    """

    name: str
    sources: tuple[str, ...]
    may_repeat: bool = True
    offers_known: bool = False
    rerankers: tuple[str, ...] = ("keep_order",)
    weights: Mapping[str, float] = field(default_factory=dict, hash=False)
    candidate_factor: int = 1


POLICIES: dict[str, Policy] = {}


def register_policy(policy: Policy) -> Policy:
    """Add a policy to `POLICIES` and return it.

    Raises:
        ValueError: the name is taken, or a source or re-ranker is not registered.
    """
    if policy.name in POLICIES:
        raise ValueError(f"policy {policy.name!r} is already registered")
    for names, registry in ((policy.sources, SOURCES), (policy.rerankers, RERANKERS)):
        if unknown := [name for name in names if name not in registry]:
            raise ValueError(f"policy {policy.name!r} names {unknown}; registered are {sorted(registry)}")
    POLICIES[policy.name] = policy
    return policy


PERSONAL = register_policy(Policy("personal", ("personal", "neighbours", "popular", "random")))
EARLY = register_policy(Policy("early", ("early", "popular", "random")))
POPULAR = register_policy(Policy("popular", ("popular", "random")))
SIMILAR = register_policy(Policy("similar", ("similar",), may_repeat=False))
REPEATS = register_policy(Policy("repeats", ("repeat",), may_repeat=False, offers_known=True))


@dataclass
class Ranking:
    """The ranked tracks for one query, best first.

    Attributes:
        picks: at most `Query.limit` of them.
        repeats: whether they are excluded tracks, offered again because nothing else was left.
    """

    picks: list[Pick] = field(default_factory=list)
    repeats: bool = False

    @property
    def strategy(self) -> str:
        """The source of the first pick; "none" for an empty ranking."""
        return self.picks[0].source if self.picks else "none"


def recommend(bundle: ModelBundle, query: Query, policy: Policy) -> Ranking:
    """Rank the tracks of a bundle for one query.

    The ranking is empty only if every track is forbidden, or if no source of the policy has a candidate.
    """
    with bundle.workspaces.borrow() as workspace:
        workspace.mask = bundle.workspaces.mask(query.unavailable)
        workspace.exclude(bundle.items.known_rows(query.forbidden), FORBIDDEN)
        workspace.exclude(bundle.items.known_rows(query.exclude), EXCLUDED)
        picks = _retrieve(bundle, query, policy, workspace)
        if repeats := not picks and policy.may_repeat:
            workspace.readmit(EXCLUDED)
            picks = _retrieve(bundle, query, policy, workspace)
    for name in policy.rerankers:
        picks = RERANKERS[name](picks, bundle, query, policy.weights)
    return Ranking(picks[: query.limit], repeats=repeats and bool(picks))


def _retrieve(bundle: ModelBundle, query: Query, policy: Policy, workspace: SearchWorkspace) -> list[Pick]:
    """Call the sources of the policy in order until there are enough candidates."""
    picks: list[Pick] = []
    for name in policy.sources:
        missing = query.limit * policy.candidate_factor - len(picks)
        if missing < 1:
            break
        rows, scores = SOURCES[name](bundle, query, workspace, missing)
        workspace.exclude(rows, TAKEN)
        track_ids, rounded = bundle.items.ids[rows].tolist(), np.round(scores, 6).tolist()
        picks += [Pick(track, score, name) for track, score in zip(track_ids, rounded, strict=True)]
    return picks
