"""Put candidates into the positions of a slate, one after the other, so that caps, gaps and shares hold.

What stands at a position depends on the positions before it only, never on the length of the slate. A slate of 20 is
therefore the beginning of the slate of 50, which precomputed rankings rely on. The positions of a page follow those of
the pages before it.

Where the candidates do not allow everything, this is given up, in this order:

1. the shares: "familiarity" (known tracks), "new_artist_share" (artists whom hardly anybody has heard);
2. "artist_cap": more tracks of an artist than `Caps.per_artist` in a window;
3. "artist_gap": tracks of an artist nearer to each other than `Caps.artist_gap`;
4. "familiarity" the other way: more known tracks than the dial asks for, because no others are left;
5. "recordings": another track of a recording that is on the slate already.

A slate is never shorter than the number of candidates.
"""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import NamedTuple

from engine.policy import Caps
from engine.ranking.picks import Pick

_ROUNDING = 1e-9  # so that a share of 0.3 makes 3 of 10 positions, although 10 * 0.3 may be less than 3


class Candidate(NamedTuple):
    """A track that may be placed.

    Attributes:
        row: of the bundle; -1 for a track that the bundle does not know.
        artist: number of the artist, below 0 if unknown. Tracks of unknown artists have no caps.
        recording: number that tracks of the same recording have in common, below 0 if unknown.
        is_known: whether the listener knows the track.
        is_of_new_artist: whether hardly anybody has heard the artist.
        value: what it was ranked by.
        make_pick: returns it as a pick.
    """

    row: int
    artist: int
    recording: int
    is_known: bool
    is_of_new_artist: bool
    value: float
    make_pick: Callable[[], Pick]


@dataclass
class SlatePlacer:
    """The positions that are taken, and the candidates that wait for one.

    Attributes:
        caps: what the slate may not contain.
        batches: candidates, best first; a batch is used when those before it have none for a position.
        patience: number of batches to look through before a cap is given up.
        repeats: tracks that the listener knows, best first.
        familiarity: share of the positions for known tracks.
        new_artists: the candidates of new artists, best first; they are in a batch, too.
        artists_before: numbers of the artists of the tracks that stand right before the first position, on earlier
            pages of the same slate, in their order; below 0 if unknown. Caps and gaps count them.
        positions_before: the number of all positions on these pages. Shares take it that they were kept there.
        relaxed_at: what was given up, and at which position first.
        new_artist_cost: the value that each position for a new artist gave up.
    """

    caps: Caps
    batches: Iterator[Iterable[Candidate]]
    patience: int = 1
    repeats: list[Candidate] = field(default_factory=list)
    familiarity: float = 0.0
    new_artists: list[Candidate] = field(default_factory=list)
    artists_before: Sequence[int] = ()
    positions_before: int = 0
    relaxed_at: dict[str, int] = field(default_factory=dict)
    new_artist_cost: dict[int, float] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self._upcoming: Iterator[Candidate] = iter(())
        self._waiting: list[Candidate] = []  # candidates that had to let others go first, best first
        self._batch_count = 0
        self._position = 0
        self._positions_of_artist: dict[int, list[int]] = defaultdict(list)
        self._gap_until: dict[int, int] = {}  # the first position at which an artist may stand again
        self._cap_until: dict[int, int] = {}
        self._rows: set[int] = set()
        self._recordings: set[int] = set()
        self._known_count = self._new_artist_count = 0
        for position, artist in enumerate(self.artists_before, -len(self.artists_before)):
            self._note_artist(artist, position)

    def place(self, limit: int) -> list[Candidate]:
        """Return the candidates for the next `limit` positions, fewer if there are no more."""
        placed: list[Candidate] = []
        while len(placed) < limit and (candidate := self._choose()) is not None:
            self.occupy(candidate)
            placed.append(candidate)
        return placed

    def occupy(self, candidate: Candidate) -> None:
        """Give the next position to a candidate."""
        if candidate.row >= 0:
            self._rows.add(candidate.row)
        if candidate.recording >= 0:
            self._recordings.add(candidate.recording)
        self._known_count += candidate.is_known
        self._new_artist_count += candidate.is_of_new_artist
        self._note_artist(candidate.artist, self._position)
        self._position += 1

    def _note_artist(self, artist: int, position: int) -> None:
        """Note until when an artist has to wait who stands at a position; those before the first are below 0."""
        if artist >= 0:
            positions = self._positions_of_artist[artist]
            positions.append(position)
            self._gap_until[artist] = position + 1 + self.caps.artist_gap
            if 0 < self.caps.per_artist <= len(positions):
                self._cap_until[artist] = positions[-self.caps.per_artist] + self.caps.window

    def _choose(self) -> Candidate | None:
        """Take the candidate for the next position."""
        if self._known_count < self._count_due(self.familiarity):
            if (index := self._find_allowed(self.repeats)) is not None:
                return self.repeats.pop(index)
            self._relax("familiarity")
        best = self._find_next()
        if self._new_artist_count < self._count_due(self.caps.new_artist_share):
            if (index := self._find_allowed(self.new_artists)) is not None:
                new = self.new_artists.pop(index)
                if best is not None:
                    self.new_artist_cost[self._position] = max(self._waiting[best].value - new.value, 0.0)
                return new
            if best is None or not self._waiting[best].is_of_new_artist:
                self._relax("new_artist_share")
        return self._take_by_relaxing() if best is None else self._waiting.pop(best)

    def _count_due(self, share: float) -> int:
        """Return how many of the tracks up to the next position a share asks for, without those of earlier pages."""
        first, last = self.positions_before, self.positions_before + self._position + 1
        return math.floor(last * share + _ROUNDING) - math.floor(first * share + _ROUNDING)

    def _find_next(self) -> int | None:
        """Return the index in `_waiting` of the first candidate that breaks no cap, loading batches to find one."""
        while True:
            if (index := self._find_allowed(self._waiting)) is not None:
                return index
            for candidate in self._upcoming:
                self._waiting.append(candidate)
                if self._is_allowed(candidate):
                    return len(self._waiting) - 1
            has_waited_enough = self._batch_count >= self.patience
            if has_waited_enough and not all(self._is_duplicate(candidate) for candidate in self._waiting):
                return None
            batch = next(self.batches, None)
            if batch is None:
                return None
            self._upcoming = iter(batch)
            self._batch_count += 1

    def _find_allowed(self, candidates: list[Candidate]) -> int | None:
        waiting_artists: set[int] = set()  # in a catalogue of few artists, most candidates are passed over by these
        for index, candidate in enumerate(candidates):
            if candidate.artist in waiting_artists:
                continue
            if self._is_allowed(candidate):
                return index
            if not self._is_duplicate(candidate):
                waiting_artists.add(candidate.artist)
        return None

    def _is_allowed(self, candidate: Candidate) -> bool:
        artist, position = candidate.artist, self._position
        return (
            self._gap_until.get(artist, 0) <= position
            and self._cap_until.get(artist, 0) <= position
            and not self._is_duplicate(candidate)
        )

    def _is_duplicate(self, candidate: Candidate) -> bool:
        """Whether the track is on the slate, or another one of the same recording while these are merged."""
        return candidate.row in self._rows or (self.caps.merge_recordings and candidate.recording in self._recordings)

    def _take_by_relaxing(self) -> Candidate | None:
        """Take the first of the candidates that break least, and note what they break."""
        options = [
            (candidates, index, self._breaches(candidates[index], is_repeat))
            for candidates, is_repeat in ((self._waiting, False), (self.repeats, True))
            for index in self._first_of_artists(candidates)
        ]
        if not options:
            return None
        candidates, index, breaches = min(options, key=lambda option: tuple(option[2].values()))
        for name, is_broken in breaches.items():
            if is_broken:
                self._relax(name)
        return candidates.pop(index)

    def _first_of_artists(self, candidates: list[Candidate]) -> Iterator[int]:
        """Yield the index of the first candidate of each artist: others of the artist break the same, or more.

        Before it come those of the artist that are duplicates, for they break more.
        """
        artists: set[int] = set()
        for index, candidate in enumerate(candidates):
            if candidate.artist not in artists and candidate.row not in self._rows:
                if not self._is_duplicate(candidate):
                    artists.add(candidate.artist)
                yield index

    def _breaches(self, candidate: Candidate, is_repeat: bool) -> dict[str, bool]:
        """Return what a candidate would break at the next position, the worst first."""
        return {
            "recordings": self._is_duplicate(candidate),
            "familiarity": is_repeat,
            "artist_gap": self._gap_until.get(candidate.artist, 0) > self._position,
            "artist_cap": self._cap_until.get(candidate.artist, 0) > self._position,
        }

    def _relax(self, name: str) -> None:
        self.relaxed_at.setdefault(name, self._position)
