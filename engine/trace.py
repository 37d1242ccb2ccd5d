"""A record of how one slate came about, for people who want to know why it looks as it does."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import NamedTuple

from engine.ranking.picks import Pick


class SourceTrace(NamedTuple):
    """What one source proposed.

    Attributes:
        source: its name.
        weight: of its opinion; 1 for a source that is asked alone, to fill positions or for repeats.
        track_ids: its candidates, best first.
        scores: of these, in the source's own unit.
        seconds: how long it took.
    """

    source: str
    weight: float
    track_ids: list[int]
    scores: list[float]
    seconds: float


class FilteredCandidate(NamedTuple):
    """A track that a source would have proposed, and why it must not be offered.

    The reasons are "forbidden" (disliked, blocked, or shown already), "unavailable" (to this audience), "known" (the
    listener has played or skipped it), "recording" (another track of the same recording is one of these) and
    "just_played" (too early for a repeat).
    """

    track_id: int
    source: str
    reason: str


class RankedCandidate(NamedTuple):
    """The parts of the value by which a candidate was ranked.

    Attributes:
        track_id: the candidate.
        sources: those that proposed it.
        value: the sum of the parts.
        parts: contributions by name: "relevance", the weighted opinions of other sources, and the dials, which are 0
            for the head of the policy.
    """

    track_id: int
    sources: tuple[str, ...]
    value: float
    parts: dict[str, float]


def _no_time() -> float:
    return 0.0


@dataclass
class Trace:
    """A record that `recommend` fills, at the cost of asking each source twice.

    Attributes:
        timer: returns seconds; without it, all times are 0. The engine itself reads no clock.
        sources: what each source proposed, in the order in which they were asked.
        filtered: candidates that were left out.
        candidates: the pool of all sources: the head of the policy, and then the others ordered by value.
        before: the slate by relevance alone, without dials and caps.
        after: the slate.
        relaxed: what could not be kept, and at which index of the slate first.
        new_artist_cost: the value given up for the share of new artists, by index of the slate.
        seconds: of each stage: "gather", "score" and "place".
    """

    timer: Callable[[], float] = _no_time
    sources: list[SourceTrace] = field(default_factory=list)
    filtered: list[FilteredCandidate] = field(default_factory=list)
    candidates: list[RankedCandidate] = field(default_factory=list)
    before: list[Pick] = field(default_factory=list)
    after: list[Pick] = field(default_factory=list)
    relaxed: dict[str, int] = field(default_factory=dict)
    new_artist_cost: dict[int, float] = field(default_factory=dict)
    seconds: dict[str, float] = field(default_factory=dict)
