"""Build the slate for one query: candidates -> filters -> ranking -> slate, driven by a policy.

The public API of serving:

- `recommend(bundle, query, policy)` returns a `Ranking`: its `picks`, best first, and whether they are repeats.
- `Query` (`engine.retrieval.candidates`) holds the listener's history, the tracks to leave out and the length of the
  slate.
- `Policy` (`engine.policy`) holds the candidate sources with their weights, the dials and the caps. `POLICIES` holds
  the policies that are built in by name; `register_policy` adds one.
- `SOURCES` (`engine.retrieval.candidates`) holds the candidate sources by name. A `Pick` carries the name of its
  source; store names, never positions in a registry.

Everything is a pure function of its arguments: no clock, no files, no global state beside the registries.
"""

from __future__ import annotations

import numpy as np

from engine.bundle.model_bundle import ModelBundle
from engine.bundle.workspace import EXCLUDED, FORBIDDEN, TAKEN, SearchWorkspace
from engine.policy import NO_CAPS, Caps, Dials, Policy
from engine.ranking.picks import Pick, Ranking
from engine.retrieval.candidates import SOURCES, Query
from engine.trace import Trace

__all__ = [
    "EARLY",
    "NO_CAPS",
    "PERSONAL",
    "POLICIES",
    "POPULAR",
    "REPEATS",
    "SIMILAR",
    "Caps",
    "Dials",
    "Pick",
    "Policy",
    "Ranking",
    "Trace",
    "recommend",
    "register_policy",
]

POLICIES: dict[str, Policy] = {}


def register_policy(policy: Policy) -> Policy:
    """Add a policy to `POLICIES` and return it.

    Raises:
        ValueError: the name is taken, or a source is not registered.
    """
    if policy.name in POLICIES:
        raise ValueError(f"policy {policy.name!r} is already registered")
    if unknown := [name for name in policy.source_names if name not in SOURCES]:
        raise ValueError(f"policy {policy.name!r} names {unknown}; registered are {sorted(SOURCES)}")
    POLICIES[policy.name] = policy
    return policy


_FILL = ("popular", "random")
PERSONAL = register_policy(Policy("personal", {"personal": 1.0, "neighbours": 0.0}, fill=_FILL))
EARLY = register_policy(Policy("early", {"early": 1.0}, fill=_FILL))
POPULAR = register_policy(Policy("popular", {"popular": 1.0}, fill=("random",)))
SIMILAR = register_policy(Policy("similar", {"similar": 1.0}, may_repeat=False))
REPEATS = register_policy(Policy("repeats", {"repeat": 1.0}, may_repeat=False, offers_known=True, caps=NO_CAPS))


def recommend(bundle: ModelBundle, query: Query, policy: Policy, trace: Trace | None = None) -> Ranking:
    """Rank the tracks of a bundle for one query.

    The ranking is empty only if every track is forbidden, or if no source of the policy has a candidate.

    Args:
        trace: is filled with how the ranking came about.
    """
    with bundle.workspaces.borrow() as workspace:
        workspace.mask = bundle.workspaces.mask(query.unavailable)
        workspace.exclude(bundle.items.known_rows(query.forbidden), FORBIDDEN)
        workspace.exclude(bundle.items.known_rows(query.exclude), EXCLUDED)
        picks = _retrieve(bundle, query, policy, workspace)
        if repeats := not picks and policy.may_repeat:
            workspace.readmit(EXCLUDED)
            picks = _retrieve(bundle, query, policy, workspace)
    ranking = Ranking(picks, repeats=repeats and bool(picks))
    if trace is not None:
        trace.after = list(ranking.picks)
    return ranking


def _retrieve(bundle: ModelBundle, query: Query, policy: Policy, workspace: SearchWorkspace) -> list[Pick]:
    """Call the sources of the policy in order until the slate is full."""
    picks: list[Pick] = []
    for name in policy.source_names:
        missing = query.limit - len(picks)
        if missing < 1:
            break
        rows, scores = SOURCES[name](bundle, query, workspace, missing)
        workspace.exclude(rows, TAKEN)
        track_ids, rounded = bundle.items.ids[rows].tolist(), np.round(scores, 6).tolist()
        picks += [Pick(track, score, name, (name,)) for track, score in zip(track_ids, rounded, strict=True)]
    return picks
