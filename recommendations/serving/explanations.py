"""Say why each track of a slate was picked, in words for the listener and in numbers for the app."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from functools import cached_property
from typing import Any, NamedTuple

import numpy as np
from django.utils import timezone

from engine.bundle.model_bundle import ModelBundle
from engine.data.user_item_pairs import UserItemPairs
from engine.pipeline import Pick
from engine.ranking.explain import HistoryReason, explain_by_history
from engine.retrieval.candidates import Query
from recommendations.serving.slate import RankedSlate
from tracks.card_cache import TrackCard, track_card_cache
from tracks.selectors import tags_by_track

REASON_KINDS = ("plays", "popular", "similar", "content", "repeat", "random")
_BY_HISTORY = ("personal", "early", "neighbours")  # sources whose scores are sums over the listener's history
_MAX_TAGS = 2
_RECENT_DAYS = 31  # a month's name alone might be last year's


class Reason(NamedTuple):
    """Why a track was picked.

    Attributes:
        kind: one of `REASON_KINDS`.
        text: a sentence for the listener.
        because: the ids of tracks that the pick resembles or follows from, and the share of each in the score.
        share: the part of the score that is of this kind; None where the score is not a sum.
    """

    kind: str
    text: str
    because: Sequence[tuple[int, float]] = ()
    share: float | None = None

    def to_dict(self) -> dict[str, Any]:
        """Return the reason as the API shows it."""
        return {
            "text": self.text,
            "kind": self.kind,
            "because_track_ids": [track_id for track_id, _ in self.because],
            "because": [{"track_id": track_id, "share": round(share, 4)} for track_id, share in self.because],
            "share": None if self.share is None else round(self.share, 4),
        }


@dataclass(frozen=True)
class _Evidence:
    """What the reasons of one slate are made from.

    Attributes:
        bundle: the version that ranked the slate.
        query: the query that it was ranked for.
        by_history: what the history says for each pick, by track id.
        cards: of all tracks that a reason may name, and of the picks.
        tags: of the tracks found by content and of those that they may resemble, the strongest first.
        now: when the slate is shown.
        named_artists: the artists that earlier reasons of the slate name; the same sentence again would say nothing.
    """

    bundle: ModelBundle
    query: Query
    by_history: dict[int, HistoryReason]
    cards: dict[int, TrackCard]
    tags: dict[int, list[str]]
    now: datetime
    named_artists: set[int] = field(default_factory=set)

    @cached_property
    def played(self) -> set[int]:
        return set(self.query.history.track[self.query.history.count > 0].tolist())

    @cached_property
    def liked(self) -> set[int]:
        return set(self.query.history.track[self.query.history.liked].tolist())


def explain_picks(bundle: ModelBundle, slate: RankedSlate, catalogue_revision: int | None) -> dict[int, dict[str, Any]]:
    """Return the reason of each pick by track id, ready for JSON.

    It costs one query if it names tracks whose cards are not cached, and one more if there are picks by content.
    """
    picks, query = slate.ranking.picks, slate.query
    positive = np.flatnonzero(query.history.is_positive)
    known = dict(zip(query.history.track[positive].tolist(), positive.tolist(), strict=True))
    by_history: dict[int, HistoryReason] = {}
    for source in _BY_HISTORY:
        track_ids = [pick.track_id for pick in picks if pick.source == source and pick.track_id not in known]
        if track_ids:
            by_history |= explain_by_history(bundle, query, source, track_ids)
    named = {track_id for reason in by_history.values() for track_id, _ in reason.because}
    if query.track_id is not None:
        named.add(query.track_id)
    cards = track_card_cache.get_cards(named, catalogue_revision) | slate.cards
    by_content = [pick.track_id for pick in picks if pick.source == "content"]
    tags = tags_by_track([*by_content, *named]) if by_content else {}
    evidence = _Evidence(bundle, query, by_history, cards, tags, timezone.now())
    return {
        pick.track_id: (
            explain_repeat(query.history, known[pick.track_id], evidence.now)
            if pick.track_id in known
            else _explain_new(pick, evidence)
        ).to_dict()
        for pick in picks
    }


def _explain_new(pick: Pick, evidence: _Evidence) -> Reason:
    """Give the reason of the source of a pick that the listener does not know."""
    similar_to = evidence.query.track_id
    match pick.source:
        case "personal" | "early" | "neighbours":
            return _explain_plays(pick, evidence)
        case "content" if similar_to is not None:
            return _explain_content(pick, similar_to, evidence)
        case "similar" if similar_to is not None:
            because = [(similar_to, 1.0)] if pick.score > 0 else []
            return Reason("similar", "Played by the same listeners", because, 1.0)
        case "popular":
            return Reason("popular", _popular(int(pick.score)), share=1.0)
        case _:
            return Reason("random", "Something different from the catalogue")


def _explain_plays(pick: Pick, evidence: _Evidence) -> Reason:
    """Name the tracks of the history that contribute most, after popularity where that contributes more than all."""
    reason, bundle = evidence.by_history.get(pick.track_id), evidence.bundle
    if reason is None:
        return Reason("plays", "From what you have been playing")
    ids = {track_id for track_id, _ in reason.because}
    cards = [evidence.cards[track_id] for track_id, _ in reason.because if track_id in evidence.cards]
    verb = "you played" if ids <= evidence.played else "you like" if ids <= evidence.liked else "of"
    if not cards:
        because = "from what you have been playing"
    elif reason.is_artist and cards[0].artist_id not in evidence.named_artists:
        evidence.named_artists.add(cards[0].artist_id)
        because = f"because you often play {cards[0].artist_name}"
    else:
        because = f"because {verb} {' and '.join(dict.fromkeys(card.title for card in cards))}"
    if reason.share >= 0.5:
        return Reason("plays", because[0].upper() + because[1:], reason.because, reason.share)
    row = bundle.item_row(pick.track_id)
    listeners = 0 if row is None else int(bundle.popularity[row])
    return Reason("popular", f"{_popular(listeners)}, and {because}", reason.because, 1 - reason.share)


def _explain_content(pick: Pick, other_id: int, evidence: _Evidence) -> Reason:
    """Say what a pick has in common with another track."""
    card, other = evidence.cards[pick.track_id], evidence.cards.get(other_id)
    if other is None:
        return Reason("content", "Shares artist, album or tags")
    tags, other_tags = evidence.tags.get(pick.track_id, ()), evidence.tags.get(other_id, ())
    shared = [tag for tag in tags if tag in other_tags][:_MAX_TAGS]
    if card.album_id is not None and card.album_id == other.album_id:
        text = f"From the same album as {other.title}"
    elif card.artist_id == other.artist_id:
        text = f"By the same artist as {other.title}"
    elif shared:
        text = f"Shares the tag{'s' if len(shared) > 1 else ''} {' and '.join(shared)} with {other.title}"
    else:
        text = f"Similar to {other.title}"
    return Reason("content", text, [(other_id, 1.0)], 1.0)


def explain_repeat(history: UserItemPairs, i: int, now: datetime) -> Reason:
    """Say how often the listener played the track of a pair, and when they last did, as far as that is known."""
    plays = int(history.count[i])
    if not plays:
        text = (
            "You liked this"
            if history.liked[i]
            else "You shared this"
            if history.shared[i]
            else "You added this to a playlist"
        )
        return Reason("repeat", text)
    times = "once" if plays == 1 else "twice" if plays == 2 else f"{plays:,} times"
    if any(flags[i] for flags in (history.liked, history.added, history.shared, history.skipped)):
        return Reason("repeat", f"You played this {times}")  # the newest interaction may not be a play
    last = datetime.fromtimestamp(int(history.newest[i]), UTC)
    days = (now - last).days
    if days < 1:
        when = "less than a day ago"
    elif days < _RECENT_DAYS:
        when = f"{days} day{'s' if days > 1 else ''} ago"
    else:
        when = f"in {last:%B}" if last.year == now.year else f"in {last:%B %Y}"
    return Reason("repeat", f"You played this {times}, {'last ' if plays > 1 else ''}{when}")


def _popular(listeners: int) -> str:
    return f"Popular with {listeners:,} listener{'s' if listeners != 1 else ''}"
