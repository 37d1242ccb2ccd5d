"""Say why each track of a slate was picked, in words for the listener and in numbers for the app."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, date, datetime
from functools import cached_property
from typing import Any, NamedTuple

import numpy as np
from django.utils import timezone

from engine.bundle.model_bundle import ModelBundle
from engine.data.sliders import slider_values
from engine.data.track_features import NO_DATE, UNKNOWN_ID
from engine.data.user_item_pairs import UserItemPairs
from engine.pipeline import Pick, Ranking
from engine.ranking.explain import HistoryReason, explain_by_history
from engine.retrieval.candidates import Query
from engine.retrieval.radio import RadioReason, explain_radio
from engine.retrieval.session import explain_session
from engine.retrieval.similar import find_similar_by_content
from tracks.card_cache import TrackCard, track_card_cache
from tracks.selectors import tags_by_track

REASON_KINDS = (
    "plays",
    "popular",
    "similar",
    "content",
    "repeat",
    "trending",
    "new_release",
    "radio",
    "slider",
    "session",
    "others",
    "random",
)
_BY_HISTORY = ("personal", "early", "neighbours")  # sources whose scores are sums over the listener's history
_CONTENT_CANDIDATES = 8  # own tracks among which one that shares something with a new track is looked for
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
        by_station: what the station of a radio says for each pick, by track id.
        by_session: the tracks of the session that lead to each pick of the source "session", by track id.
        cards: of all tracks that a reason may name, and of the picks.
        tags: of the tracks found by content and of those that they may resemble, the strongest first.
        now: when the slate is shown.
        named_artists: the artists that earlier reasons of the slate name; the same sentence again would say nothing.
    """

    bundle: ModelBundle
    query: Query
    by_history: dict[int, HistoryReason]
    by_station: dict[int, RadioReason]
    by_session: dict[int, list[tuple[int, float]]]
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


def explain_picks(
    bundle: ModelBundle,
    query: Query,
    ranking: Ranking,
    cards: Mapping[int, TrackCard],
    catalogue_revision: int | None,
) -> dict[int, dict[str, Any]]:
    """Return the reason of each pick by track id, ready for JSON.

    It costs one query if it names tracks whose cards are not cached, and one more if there are picks by content.

    Args:
        bundle: the version that made the slate.
        query: what it was asked.
        ranking: its answer.
        cards: of the picks, by track id.
        catalogue_revision: the current one.
    """
    picks = ranking.picks
    positive = np.flatnonzero(query.history.is_positive)
    known = dict(zip(query.history.track[positive].tolist(), positive.tolist(), strict=True))
    by_history: dict[int, HistoryReason] = {}
    sources = _find_sources(bundle, query, [pick for pick in picks if pick.track_id not in known])
    by_content = [track_id for track_id, source in sources.items() if source == "content"]
    for source in _BY_HISTORY:
        if track_ids := [track_id for track_id, name in sources.items() if name == source]:
            blend = ranking.blends.get(source)
            by_history |= explain_by_history(bundle, query, source, track_ids, blend=blend)
    if by_content and query.track_id is None:
        by_history |= explain_by_history(bundle, query, "content", by_content, _CONTENT_CANDIDATES)
    by_station: dict[int, RadioReason] = {}
    if query.station is not None:
        by_station = explain_radio(bundle, query.station, np.array([pick.track_id for pick in picks], np.int64))
    by_session: dict[int, list[tuple[int, float]]] = {}
    if in_session := [track_id for track_id, source in sources.items() if source == "session"]:
        by_session = explain_session(bundle, query, in_session)
    named = {track_id for reason in by_history.values() for track_id, _ in reason.because}
    named |= {reason.track_id for reason in by_station.values()}
    named |= {track_id for because in by_session.values() for track_id, _ in because}
    if query.track_id is not None:
        named.add(query.track_id)
    all_cards = {**track_card_cache.get_cards(named, catalogue_revision), **cards}
    tags = tags_by_track([*by_content, *by_station, *named]) if by_content or by_station else {}
    evidence = _Evidence(bundle, query, by_history, by_station, by_session, all_cards, tags, timezone.now())
    return {
        pick.track_id: (
            explain_repeat(query.history, known[pick.track_id], evidence.now)
            if pick.track_id in known
            else _explain_new(pick, sources[pick.track_id], evidence)
        ).to_dict()
        for pick in picks
    }


def explain_to_group(
    bundle: ModelBundle,
    queries: Sequence[Query],
    ranking: Ranking,
    cards: Mapping[int, TrackCard],
    catalogue_revision: int | None,
) -> dict[int, list[dict[str, Any]]]:
    """Return the reason of each pick for each member of a group, and how relevant it is for them, by track id.

    A track that is none of a member's own candidates is on the list for the others, and so it says, for whatever the
    member's history has to do with it did not decide. Costs as much for each member as `explain_picks`.

    Args:
        bundle: the version that made the slate.
        queries: of each member alone.
        ranking: the slate of the group.
        cards: of the picks, by track id.
        catalogue_revision: the current one.
    """
    reasons: dict[int, list[dict[str, Any]]] = {pick.track_id: [] for pick in ranking.picks}
    for number, query in enumerate(queries):
        opinions = {track_id: of_all[number] for track_id, of_all in ranking.opinions.items()}
        own = []
        for pick in ranking.picks:
            opinion = opinions.get(pick.track_id)
            if pick.source not in ("group", "sliders"):  # it fills the slate, for everybody alike
                own.append(pick)
            elif opinion is not None and opinion.is_own:
                row = bundle.items.rows([pick.track_id])[0][0]
                score = float(bundle.popularity[row]) if opinion.source == "popular" else opinion.relevance
                own.append(Pick(pick.track_id, score, opinion.source, (opinion.source,)))
            elif slider_values(query.sliders, np.array([pick.track_id]))[0] > 0:
                own.append(Pick(pick.track_id, pick.score, "sliders", ("sliders",)))
        explained = explain_picks(bundle, query, Ranking(own), cards, catalogue_revision)
        for track_id, of_members in reasons.items():
            opinion = opinions.get(track_id)
            reason = explained.get(track_id) or Reason("others", "Chosen for the others").to_dict()
            of_members.append({"relevance": None if opinion is None else round(opinion.relevance, 4)} | reason)
    return reasons


def _find_sources(bundle: ModelBundle, query: Query, picks: Sequence[Pick]) -> dict[int, str]:
    """Return by track id the source that knows why a track was picked.

    That is content where plays say nothing, or less, and for what is new by artists whom the listener plays, that it is
    new.
    """
    is_similar_by_content = find_similar_by_content(bundle, query, [pick.track_id for pick in picks])
    played = bundle.items.known_rows(query.history.track[query.history.count > 0])
    sources = {}
    for pick, is_by_content in zip(picks, is_similar_by_content.tolist(), strict=True):
        if pick.source != "similar":
            is_by_content = pick.source in _BY_HISTORY and bundle.item_row(pick.track_id) is None
        sources[pick.track_id] = "content" if is_by_content else pick.source
        if sources[pick.track_id] == "content" and "new_releases" in pick.sources:
            artist = bundle.features.artist[bundle.items.known_rows([pick.track_id])][0]
            if artist != UNKNOWN_ID and artist in bundle.features.artist[played]:
                sources[pick.track_id] = "new_releases"
    return sources


def _explain_new(pick: Pick, source: str, evidence: _Evidence) -> Reason:
    """Give the reason of the source of a pick that the listener does not know."""
    similar_to = evidence.query.track_id
    match source:
        case "personal" | "early" | "neighbours":
            return _explain_plays(pick, evidence)
        case "content":
            return _explain_content(pick, evidence)
        case "similar" if similar_to is not None:
            because = [(similar_to, 1.0)] if pick.score > 0 else []
            return Reason("similar", "Played by the same listeners", because, 1.0)
        case "popular":
            return Reason("popular", _popular(int(pick.score)), share=1.0)
        case "session":
            return _explain_session(pick, evidence)
        case "trending":
            return Reason("trending", "Played by more listeners than usual this week")
        case "new_releases":
            return _explain_release(pick, evidence)
        case "radio":
            return _explain_radio(pick, evidence)
        case "sliders":
            return Reason("slider", "You asked for more like this")
        case _:
            return Reason("random", "Something different from the catalogue")


def _explain_plays(pick: Pick, evidence: _Evidence) -> Reason:
    """Name the tracks of the history that contribute most, after popularity where that contributes more than all."""
    reason, bundle = evidence.by_history.get(pick.track_id), evidence.bundle
    if reason is None:
        return Reason("plays", "From what you have been playing")
    row = bundle.item_row(pick.track_id)
    popular = _popular(0 if row is None else int(bundle.popularity[row]))
    if not reason.share:
        return Reason("popular", popular, share=1.0)
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
    return Reason("popular", f"{popular}, and {because}", reason.because, 1 - reason.share)


def _explain_content(pick: Pick, evidence: _Evidence) -> Reason:
    """Say what a pick has in common with the track asked about, or with one of those that contribute most."""
    if evidence.query.track_id is not None:
        others = [(evidence.query.track_id, 1.0)]
    else:
        reason = evidence.by_history.get(pick.track_id)
        others = [] if reason is None else reason.because
    for other in others:
        if in_common := _in_common(pick.track_id, other[0], evidence):
            return Reason("content", in_common, [other], 1.0)
    if others and (card := evidence.cards.get(others[0][0])):
        return Reason("content", f"Similar to {card.title}", others[:1], 1.0)
    return Reason("content", "Shares artist, album or tags")


def _explain_radio(pick: Pick, evidence: _Evidence) -> Reason:
    """Name the track of the radio's station that speaks most for a pick, and what both have in common."""
    reason = evidence.by_station.get(pick.track_id)
    card = None if reason is None else evidence.cards.get(reason.track_id)
    if reason is None or card is None:
        return Reason("radio", "Further away from where this radio began")
    if reason.track_id == pick.track_id:
        return Reason("radio", "This radio is made from it", share=reason.share)
    text = _in_common(pick.track_id, reason.track_id, evidence) or f"Similar to {card.title}"
    return Reason("radio", text, [(reason.track_id, reason.share)], reason.share)


def _explain_session(pick: Pick, evidence: _Evidence) -> Reason:
    """Name the latest tracks of the session after which a pick is often played."""
    because = [entry for entry in evidence.by_session.get(pick.track_id, ()) if entry[0] in evidence.cards]
    if not because:
        return Reason("session", "Goes with what you are playing")
    return Reason("session", f"Often played after {evidence.cards[because[0][0]].title}", because)


def _in_common(track_id: int, other_id: int, evidence: _Evidence) -> str:
    """Say which album, artist or tags two tracks share; nothing if they share none."""
    card, other = evidence.cards[track_id], evidence.cards.get(other_id)
    if other is None:
        return ""
    if card.album_id is not None and card.album_id == other.album_id:
        return f"From the same album as {other.title}"
    if card.artist_id == other.artist_id:
        return f"By the same artist as {other.title}"
    tags, other_tags = evidence.tags.get(track_id, ()), evidence.tags.get(other_id, ())
    shared = [tag for tag in tags if tag in other_tags][:_MAX_TAGS]
    if not shared:
        return ""
    return f"Shares the tag{'s' if len(shared) > 1 else ''} {' and '.join(shared)} with {other.title}"


def _explain_release(pick: Pick, evidence: _Evidence) -> Reason:
    """Say that a track is by an artist whom the listener plays, or else when it came out."""
    bundle, card = evidence.bundle, evidence.cards[pick.track_id]
    own_rows = bundle.items.known_rows(np.array(sorted(evidence.played), np.int64))
    if card.artist_id in bundle.features.artist[own_rows]:
        return Reason("new_release", f"New from {card.artist_name}, whom you play")
    row = bundle.items.row(pick.track_id)
    released = NO_DATE if row is None else int(bundle.features.released[row])
    today = (evidence.now.date() - date(1970, 1, 1)).days
    if released == NO_DATE or released > today:
        return Reason("new_release", "New in the catalogue")
    days = today - released
    return Reason("new_release", "Released today" if not days else f"Released {days} day{'s' if days > 1 else ''} ago")


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
