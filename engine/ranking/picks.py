"""The result of ranking: the tracks of a slate in order, and what could not be kept."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import NamedTuple

from engine.retrieval.exact_search import ListenerBlend
from engine.retrieval.group import MemberOpinion


class Pick(NamedTuple):
    """A track of a slate.

    Attributes:
        track_id: the track.
        score: what its source said; it can be compared with others of the same source only.
        source: the candidate source that contributed most.
        sources: all sources that proposed it.
    """

    track_id: int
    score: float
    source: str
    sources: tuple[str, ...] = ()


@dataclass
class Ranking:
    """The ranked tracks for one query, best first.

    Attributes:
        picks: at most `Query.limit` of them.
        repeats: whether they are excluded tracks, offered again because nothing else was left.
        relaxed_at: what could not be kept, and at which index of `picks` that happened first.
        blends: by source, how its scores blend the components of the ensemble, so that reasons need not find out again;
            without sources that were not asked, and empty where a ranking was stored.
        opinions: of the members of a group on each of the picks that the version knows, by track id, in their order.
    """

    picks: list[Pick] = field(default_factory=list)
    repeats: bool = False
    relaxed_at: Mapping[str, int] = field(default_factory=dict)
    blends: Mapping[str, ListenerBlend] = field(default_factory=dict)
    opinions: Mapping[int, tuple[MemberOpinion, ...]] = field(default_factory=dict)

    @property
    def strategy(self) -> str:
        """The source of the first pick; "none" for an empty ranking."""
        return self.picks[0].source if self.picks else "none"

    @property
    def relaxed(self) -> tuple[str, ...]:
        """The names of what could not be kept for these picks."""
        return tuple(name for name, index in self.relaxed_at.items() if index < len(self.picks))
