"""What a listener plays: totals, lists of tracks, and taste."""

from collections.abc import Collection
from typing import Any, NamedTuple

import numpy as np
from django.utils import timezone

from interactions.lists.selectors import load_blocks
from interactions.lists.selectors import load_history as load_latest_plays
from interactions.taste.selectors import (
    PlayGroup,
    PlayTotals,
    latest_plays_since,
    load_play_totals,
    mean_sound,
    plays_by_artist,
    plays_by_decade,
    plays_by_tag,
)
from recommendations.admin.formatting import UNKNOWN, format_count, format_duration, format_time
from recommendations.models import Listener
from recommendations.serving.request_context import RequestContext
from tracks.selectors import track_cards

LISTED = 12  # rows of a list of tracks
RECENT = 100  # latest plays, which show how the taste changes
BAR_PIXELS = 90
SOUND_TITLES = {
    "tempo": "Tempo",
    "energy": "Energy",
    "valence": "Cheerfulness",
    "danceability": "Danceability",
    "acousticness": "Acousticness",
}


class TasteRow(NamedTuple):
    """An artist, a tag or a decade: its share of all plays and of the latest ones, as texts and as lengths of bars."""

    name: str
    plays: str
    share: str
    recent_share: str
    bar: float
    recent_bar: float


class ListedTrack(NamedTuple):
    """A row of a list of tracks."""

    track_id: int
    title: str
    artist: str
    note: str


def plays_tab(listener: Listener, context: RequestContext) -> dict[str, Any]:
    """Return the context of the tab."""
    totals = load_play_totals(listener.pk)
    since = latest_plays_since(listener.pk, RECENT) or timezone.now()
    artists, tags = plays_by_artist(listener.pk, since), plays_by_tag(listener.pk, since)
    decades = plays_by_decade(listener.pk, since)
    recent = sum(artist.recent for artist in artists)
    return {
        "totals": _total_facts(totals, context),
        "latest": [_latest_track(item) for item in load_latest_plays(listener.pk, LISTED).items],
        "lists": _lists_of_tracks(context),
        "blocks": load_blocks(listener.pk, LISTED).items,
        "tastes": [
            ("Artists", _taste_rows(artists, totals.plays, recent)),
            ("Tags", _taste_rows(tags, totals.plays, recent)),
            ("Decades", _taste_rows(decades, totals.plays, recent, by_plays=False)),
        ],
        "sound": [(SOUND_TITLES[name], _format_sound(name, mean)) for name, mean in mean_sound(listener.pk).items()],
        "recent": recent,
    }


def _total_facts(totals: PlayTotals, context: RequestContext) -> list[tuple[str, str]]:
    pairs = context.history.pairs
    return [
        ("Plays", format_count(totals.plays)),
        ("Skips", format_count(totals.skips)),
        ("Different tracks", format_count(totals.tracks)),
        ("Time listened", format_duration(totals.milliseconds / 1000) if totals.milliseconds else UNKNOWN),
        ("Likes, dislikes now", f"{np.count_nonzero(pairs.liked)}, {np.count_nonzero(pairs.disliked)}"),
        ("In playlists, shared", f"{np.count_nonzero(pairs.added)}, {np.count_nonzero(pairs.shared)}"),
        ("First, last interaction", f"{format_time(totals.first)}, {format_time(totals.last)}"),
    ]


def _latest_track(item: dict[str, Any]) -> ListedTrack:
    how = "skipped" if item["is_skip"] or item["kind"] == "skip" else ("completed" if item["is_completed"] else "")
    if not how and item["milestone"]:
        how = f"{item['milestone']} % heard"
    note = ", ".join(filter(None, [format_time(item["played_at"]), how, item["source"]]))
    return ListedTrack(item["track_id"], item["title"], item["artist_name"], note)


def _lists_of_tracks(context: RequestContext) -> list[tuple[str, int, list[ListedTrack]]]:
    """Return the most played, liked, disliked and skipped tracks: the title of each list, its length and its head."""
    pairs = context.history.pairs
    by_time = np.argsort(-pairs.newest, kind="stable")
    by_count = np.argsort(-pairs.count, kind="stable")
    chosen = {
        "Most played": by_count[pairs.count[by_count] > 0],
        "Likes": by_time[pairs.liked[by_time]],
        "Dislikes": by_time[pairs.disliked[by_time]],
        "Only skipped": by_time[(pairs.skipped & ~pairs.is_positive)[by_time]],
    }
    heads = {title: order[:LISTED] for title, order in chosen.items()}
    cards = track_cards({int(track) for order in heads.values() for track in pairs.track[order]})
    return [
        (title, len(chosen[title]), [_listed(cards, context, int(index), title) for index in order])
        for title, order in heads.items()
    ]


def _listed(cards: dict[int, Any], context: RequestContext, index: int, title: str) -> ListedTrack:
    pairs = context.history.pairs
    track_id = int(pairs.track[index])
    card = cards.get(track_id, {"title": f"track {track_id}, deleted", "artist_name": ""})
    count = f"{pairs.count[index]:,.0f} plays" if title == "Most played" else ""
    return ListedTrack(track_id, card["title"], card["artist_name"], count)


def _taste_rows(groups: Collection[PlayGroup], plays: int, recent: int, *, by_plays: bool = True) -> list[TasteRow]:
    """Return the groups with the most plays and those with the most of the latest plays.

    Args:
        groups: all of them.
        plays: the number of all plays.
        recent: the number of the latest plays.
        by_plays: order them by plays, else leave them in their order.
    """
    top = sorted(groups, key=lambda group: -group.plays)[:LISTED]
    rising = [group for group in sorted(groups, key=lambda group: -group.recent)[: LISTED // 2] if group.recent]
    chosen = {*top, *rising}
    ordered = [group for group in groups if group in chosen]
    if by_plays:
        ordered.sort(key=lambda group: -group.plays)
    longest = max((max(group.plays / plays, group.recent / max(recent, 1)) for group in ordered), default=1) or 1
    return [
        TasteRow(
            group.name,
            format_count(group.plays),
            f"{group.plays / plays:.0%}",
            f"{group.recent / recent:.0%}" if recent else UNKNOWN,
            round(group.plays / plays / longest * BAR_PIXELS, 1),
            round(group.recent / max(recent, 1) / longest * BAR_PIXELS, 1),
        )
        for group in ordered
    ]


def _format_sound(name: str, mean: float) -> str:
    return f"{mean:.0f} beats per minute" if name == "tempo" else f"{mean:.2f}"
