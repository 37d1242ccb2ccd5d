"""How well sequence models say what is played next in later sessions."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import scipy.sparse as sp
from numpy.typing import NDArray

from engine.data.sessions import Sessions
from engine.models.item_knn import ItemKNN
from engine.models.sequences.base import ScoredItems
from engine.models.sequences.sequential_rules import SequentialRules

PrefixScorer = Callable[[NDArray[np.int32]], ScoredItems]
"""Rows of the tracks played so far, oldest first -> rows with a score and their scores."""

PREFIX_LENGTHS = ((1, 1), (2, 2), (3, 4), (5, 9), (10, None))
"""Ranges of prefix lengths, the last without an end, of which metrics are reported separately."""


@dataclass(frozen=True)
class NextTrackRanks:
    """The ranks of the tracks that were played next.

    Attributes:
        rank: of each, from 1; 0 where the model does not score it, int64 (q,).
        prefix_length: how many plays came before it in the session, int64 (q,).
        session: its session, int64 (q,).
    """

    rank: NDArray[np.int64]
    prefix_length: NDArray[np.int64]
    session: NDArray[np.int64]

    def __len__(self) -> int:
        return len(self.rank)

    def recall(self, k: int = 20) -> float:
        """Return the share of plays that are among the first k; NaN without any plays."""
        return float(np.mean(self.is_hit(k))) if len(self) else float("nan")

    def mrr(self, k: int = 20) -> float:
        """Return the mean of 1 / rank, where ranks after k count 0; NaN without any plays."""
        if not len(self):
            return float("nan")
        return float(np.mean(np.where(self.is_hit(k), 1 / np.maximum(self.rank, 1), 0.0)))

    def with_prefix_length(self, shortest: int, longest: int | None) -> NextTrackRanks:
        """Select the plays after prefixes of some lengths, both bounds included; None for no bound."""
        return self.where((self.prefix_length >= shortest) & (self.prefix_length <= (longest or self.prefix_length)))

    def where(self, selection: NDArray[np.bool_]) -> NextTrackRanks:
        return NextTrackRanks(self.rank[selection], self.prefix_length[selection], self.session[selection])

    def is_hit(self, k: int = 20) -> NDArray[np.bool_]:
        """Return whether each play is among the first k, bool (q,)."""
        return (self.rank > 0) & (self.rank <= k)

    def report(self, k: int = 20) -> dict[str, object]:
        """Return Recall@k and MRR@k of all prefixes and by prefix length, ready for JSON."""

        def metrics(ranks: NextTrackRanks) -> dict[str, float]:
            return {"plays": len(ranks), f"recall@{k}": round(ranks.recall(k), 5), f"mrr@{k}": round(ranks.mrr(k), 5)}

        by_length = {}
        for shortest, longest in PREFIX_LENGTHS:
            ranks = self.with_prefix_length(shortest, longest)
            if len(ranks):
                name = (
                    f"{shortest}+"
                    if longest is None
                    else str(shortest)
                    if shortest == longest
                    else f"{shortest}-{longest}"
                )
                by_length[name] = metrics(ranks)
        return metrics(self) | {"by_prefix_length": by_length}


def rank_next_tracks(
    score: PrefixScorer,
    sessions: Sessions,
    is_known: NDArray[np.bool_] | None = None,
    count: int = 0,
    seed: int = 0,
) -> NextTrackRanks:
    """Rank each play of later sessions but the first, given all plays of the session before it.

    All items compete, those of the session itself too. Among items with equal scores the one with the lower row comes
    first, so that ranks are the same on every machine.

    Args:
        score: the model, which must not have seen these sessions.
        sessions: later ones.
        is_known: leave out the plays of other items, bool (items,): no model can rank what it has never seen, and
            tables in the literature leave them out. They stay in the prefixes.
        count: rank so many plays, chosen at random; 0 for all.
        seed: of the random choice.
    """
    plays = sessions.sample_plays(is_known, count, seed)
    of_session = sessions.session_of_play[plays]
    begins = sessions.offsets[of_session]
    ranks = [
        rank_of(int(sessions.items[play]), *score(sessions.items[begin:play]))
        for begin, play in zip(begins.tolist(), plays.tolist(), strict=True)
    ]
    return NextTrackRanks(np.array(ranks, np.int64), plays - begins, of_session)


def rank_of(target: int, rows: NDArray[np.int64], scores: NDArray[np.floating]) -> int:
    """Return the rank of an item from 1, or 0 if it has no score."""
    at = int(np.searchsorted(rows, target))
    if at == len(rows) or rows[at] != target:
        return 0
    is_before = (scores > scores[at]) | ((scores == scores[at]) & (rows < target))
    return 1 + int(np.count_nonzero(is_before))


def baselines(sessions: Sessions, items: int) -> dict[str, PrefixScorer]:
    """Return simple models of earlier sessions, which a sequence model must beat.

    - "most popular": the number of plays.
    - "last-item rules": what was played after the last track, with the weight 1 / distance (the sequential rules of
      Ludewig & Jannach 2018).
    - "item-kNN": the cosine of the sessions of the last track with those of others.
    """
    plays = np.bincount(sessions.items, minlength=items).astype(np.float32)
    played = np.flatnonzero(plays)
    rules = SequentialRules(reverse=0.0, prefix_decay=0.0, source_power=0.0, recency=0.0).fit(sessions, items, seed=0)
    entries = (np.ones(len(sessions.items), np.float32), (sessions.session_of_play, sessions.items))
    matrix = sp.csr_matrix(entries, (len(sessions), items))
    matrix.data[:] = 1
    similar = ItemKNN(shrink=0.0).fit(matrix, seed=0).neighbours
    assert similar is not None

    def score_by_last_item(prefix: NDArray[np.int32]) -> ScoredItems:
        span = slice(similar.indptr[prefix[-1]], similar.indptr[prefix[-1] + 1])
        return similar.indices[span].astype(np.int64), similar.data[span]

    return {
        "most popular": lambda prefix: (played, plays[played]),
        "last-item rules": rules.score,
        "item-kNN": score_by_last_item,
    }
