"""The search of `engine.retrieval.exact_search` for many listeners at once: blocks of tracks by blocks of listeners."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from engine.bundle.exclusion_mask import ExclusionMask
from engine.bundle.model_bundle import ModelBundle
from engine.bundle.norm_sorted_items import BLOCK
from engine.retrieval.chunks import blocks
from engine.retrieval.score_terms import ScoreTerms
from engine.retrieval.top_k import TopKAccumulator

Rows = NDArray[np.int64]
Floats = NDArray[np.float64]
_FIRST, _MOST = 2048, 16384  # tracks at once: 16 MB of scores with 256 listeners
_NEVER = np.float32(-np.inf)


@dataclass
class Member:
    """One listener. best: of the tracks with votes; `Crowd.see` adds the others · left_out: rows, int64 (k,)."""

    sum_: ScoreTerms
    best: TopKAccumulator
    left_out: Rows
    mask: ExclusionMask | None


@dataclass
class _Pool:
    """What was found until now, by falling score within a listener: listener, place in the order of a search, score,
    all (p,)."""

    listener: Rows
    place: Rows
    score: NDArray[np.float32]

    @classmethod
    def empty(cls) -> _Pool:
        return cls(np.zeros(0, np.int64), np.zeros(0, np.int64), np.zeros(0, np.float32))

    def grown(self, listener: Rows, place: Rows, score: NDArray[np.float32]) -> _Pool:
        listener, score = np.concatenate([self.listener, listener]), np.concatenate([self.score, score])
        order = np.lexsort((-score, listener))
        return _Pool(listener[order], np.concatenate([self.place, place])[order], score[order])

    def begins(self, listeners: int) -> Rows:
        """int64 (listeners + 1,)."""
        return np.searchsorted(self.listener, np.arange(listeners + 1))

    def reaching(self, floors: NDArray[np.float32]) -> _Pool:
        kept = self.score >= floors[self.listener]
        return _Pool(self.listener[kept], self.place[kept], self.score[kept])


class Crowd:
    """Searches one version."""

    def __init__(self, bundle: ModelBundle) -> None:
        self._offered, self._places = bundle.norm_sorted_items, bundle.places
        _, least, greatest = self._offered.bounds
        self._least = np.minimum.accumulate(least[::-1])[::-1]  # of a block and all after it
        self._greatest = np.maximum.accumulate(greatest[::-1])[::-1]

    def see(self, members: Sequence[Member]) -> None:
        """Let each `best` see the best rows that have no votes and may be taken."""
        if members:
            pool = _Search(self, members).run()
            begins = pool.begins(len(members))
            for member, begin, end in zip(members, begins, begins[1:], strict=False):
                rows = self._offered.rows[pool.place[begin:end]].astype(np.int64)
                member.best.see(rows, pool.score[begin:end].astype(np.float64) + member.sum_.constant)


class _Search:
    """floors: float32 (b,), what a score must reach, without the constant of the listener's sum."""

    def __init__(self, crowd: Crowd, members: Sequence[Member]) -> None:
        self.crowd, self.norm_sorted_items, self.members = crowd, crowd._offered, members
        self.vectors = np.array([m.sum_.vector for m in members], np.float32)
        self.lengths = np.array([m.sum_.length for m in members])
        self.popular = np.array([m.sum_.popular for m in members])
        self.silent = np.array([m.sum_.silent for m in members])
        self.k = np.array([m.best.k for m in members])
        self.slack = np.array([m.best.slack for m in members])
        self.floors = np.array([m.best.floor - m.sum_.constant for m in members], np.float32)
        out = [crowd._places[m.left_out] for m in members]
        listener, place = np.repeat(np.arange(len(out)), [len(o) for o in out]), np.concatenate(out)
        order = np.argsort(place)
        self.out_listener, self.out_place = listener[order], place[order]

    def run(self) -> _Pool:
        pool = _Pool.empty()
        for block in blocks(len(self.norm_sorted_items), max(_FIRST, 2 * int(self.k.max())), _MOST):
            if not len(active := self._active(block.start)):
                break
            scores = self._scores(active, block)
            if block.start == 0:
                self._first_floors(active, scores)
            pool = self._merged(pool, active, block, scores)
        return pool

    def _active(self, begin: int) -> Rows:
        """Listeners for whom something better may come."""
        number = begin // BLOCK
        most = np.where(self.popular > 0, self.crowd._greatest[number], self.crowd._least[number]) * self.popular
        hopes = self.lengths * float(self.norm_sorted_items.norms[begin]) + most >= self.floors
        return np.flatnonzero(hopes & (~self.silent | (begin < self.norm_sorted_items.with_factors)))

    def _scores(self, active: Rows, block: slice) -> NDArray[np.float32]:
        """float32 (active, tracks of the block), -inf for what must not be taken."""
        scores = self.vectors[active] @ self.norm_sorted_items.factors[block].T
        if self.popular.any():
            scores += self.popular[active, None].astype(np.float32) * self.norm_sorted_items.listeners[block]
        line = np.full(len(self.members), -1)
        line[active] = np.arange(len(active))
        first, last = np.searchsorted(self.out_place, [block.start, block.stop])
        lines, places = line[self.out_listener[first:last]], self.out_place[first:last] - block.start
        scores[lines[lines >= 0], places[lines >= 0]] = _NEVER
        if block.stop > self.norm_sorted_items.with_factors and (silent := np.flatnonzero(self.silent[active])).size:
            scores[silent] = np.where(scores[silent] == 0, _NEVER, scores[silent])
        for mask, those in self._masks(active):
            scores[those[:, None], np.flatnonzero(mask.out[self.norm_sorted_items.rows[block]])] = _NEVER
        return scores

    def _masks(self, active: Rows) -> list[tuple[ExclusionMask, Rows]]:
        """Each mask, and the lines of those for whom it holds."""
        lines: dict[int, tuple[ExclusionMask, list[int]]] = {}
        for line, number in enumerate(active):
            if (mask := self.members[number].mask) is not None:
                lines.setdefault(id(mask), (mask, []))[1].append(line)
        return [(mask, np.array(those)) for mask, those in lines.values()]

    def _first_floors(self, active: Rows, scores: NDArray[np.float32]) -> None:
        """From the first block: the k-th best of it."""
        for k in np.unique(self.k[active]):
            if k > scores.shape[1]:
                continue
            lines = np.flatnonzero(self.k[active] == k)
            kth = np.partition(scores[lines], scores.shape[1] - k, axis=1)[:, scores.shape[1] - k]
            who = active[lines]
            self.floors[who] = np.maximum(self.floors[who], kth - self.slack[who])

    def _merged(self, pool: _Pool, active: Rows, block: slice, scores: NDArray[np.float32]) -> _Pool:
        hits = np.flatnonzero(scores >= self.floors[active, None])
        line, place = np.divmod(hits, scores.shape[1])
        score, listener = scores.ravel()[hits], active[line]
        said = (score > _NEVER) & (~self.silent[listener] | (score != 0))
        pool = pool.grown(listener[said], place[said] + block.start, score[said])
        begins = pool.begins(len(self.members))
        full = np.flatnonzero(np.diff(begins) >= self.k)
        kth = pool.score[begins[full] + self.k[full] - 1] - self.slack[full]
        self.floors[full] = np.maximum(self.floors[full], kth)
        return pool.reaching(self.floors)
