"""Read what a listener has played, likes, dislikes and blocks: lists that are read page by page, the newest first."""

from collections.abc import Sequence
from datetime import datetime
from typing import Any, NamedTuple

from django.db.models import Q
from django.utils import timezone

from interactions.models import Block, BlockKind, Interaction, InteractionKind
from interactions.selectors import OPINIONS
from tracks.models import Album, Artist, Tag
from tracks.selectors import track_cards

Item = dict[str, Any]
PLAYED = [InteractionKind.PLAY, InteractionKind.SKIP]
_PLAY_COLUMNS = (
    *("event_id", "kind", "played_at", "plays", "ms_played", "milestone", "is_completed", "is_skip", "source"),
    "recommendation_id",
)


class Position(NamedTuple):
    """A place in a list that is ordered by time, the newest first, and among equal times by id."""

    at: datetime
    pk: int


class Page(NamedTuple):
    """Some items of a list, and the position of the last one; None if there are no more."""

    items: list[Item]
    position: Position | None


def load_history(
    user_id: int,
    limit: int,
    after: Position | None = None,
    since: datetime | None = None,
    until: datetime | None = None,
) -> Page:
    """Return plays and skips of a listener with the cards of their tracks.

    The index `interaction_of_listener` has the rows in this order, so that a page of a long history costs no more.

    Args:
        after: where the page before this one ended.
        since, until: only plays of this time or later, and only plays before this time.
    """
    bounds = {"played_at__gte": since, "played_at__lt": until, "played_at__lte": after.at if after else None}
    rows = Interaction.objects.filter(user=user_id, kind__in=PLAYED)
    rows = rows.filter(**{name: value for name, value in bounds.items() if value is not None})
    if after:
        rows = rows.filter(Q(played_at__lt=after.at) | Q(pk__lt=after.pk))
    columns = ("track_id", "pk", *_PLAY_COLUMNS)
    plays = list(rows.order_by("-played_at", "-pk").values(*columns)[: limit + 1])
    return _page_of_tracks(plays, limit, "played_at")


def load_opinions(user_id: int, opinion: InteractionKind, limit: int, after: Position | None = None) -> Page:
    """Return the cards of the tracks that a listener likes, or dislikes, with the time since when."""
    rows = Interaction.objects.filter(user=user_id, kind__in=OPINIONS).order_by("-played_at", "-pk")
    latest: dict[int, Item] = {}
    for row in rows.values("track_id", "pk", "kind", "played_at"):
        latest.setdefault(row["track_id"], dict(row))
    name = f"{opinion}d_at"  # liked_at, disliked_at
    current = [
        {"track_id": row["track_id"], "pk": row["pk"], name: row["played_at"]}
        for row in latest.values()
        if row["kind"] == opinion and (after is None or (row["played_at"], row["pk"]) < after)
    ]
    return _page_of_tracks(current[: limit + 1], limit, name)


def load_blocks(user_id: int, limit: int, after: Position | None = None, kind: str | None = None) -> Page:
    """Return the blocks of a listener that are in force, with the names of their targets.

    The name of a target that has been deleted is None.
    """
    in_force = Block.objects.filter(Q(until=None) | Q(until__gt=timezone.now()), user=user_id)
    if kind:
        in_force = in_force.filter(kind=kind)
    if after:
        in_force = in_force.filter(Q(created_at__lt=after.at) | Q(created_at=after.at, pk__lt=after.pk))
    blocks = list(in_force.order_by("-created_at", "-pk")[: limit + 1])
    shown = blocks[:limit]
    targets = _describe_targets(shown)
    unknown = {"external_id": None, "name": None, "artist_name": None, "cover_url": None}
    items = [
        {"kind": block.kind, "target_id": block.target_id, "blocked_at": block.created_at, "until": block.until}
        | targets.get((block.kind, block.target_id), unknown)
        for block in shown
    ]
    return Page(items, Position(shown[-1].created_at, shown[-1].pk) if len(blocks) > limit else None)


def _page_of_tracks(rows: list[Item], limit: int, time_column: str) -> Page:
    """Put the cards of their tracks in front of the rows; one more than `limit` shows that there is a next page."""
    shown = rows[:limit]
    position = Position(shown[-1][time_column], shown[-1]["pk"]) if len(rows) > limit else None
    cards = track_cards({row["track_id"] for row in shown})
    # A track that was deleted between the two queries has no card, and its plays are gone as well.
    items = [cards[row["track_id"]] | row for row in shown if row["track_id"] in cards]
    for item in items:
        del item["pk"]
    return Page(items, position)


def _describe_targets(blocks: Sequence[Block]) -> dict[tuple[str, int], Item]:
    """Return external id, name, artist and cover of the targets, by kind and id."""
    ids: dict[str, list[int]] = {kind: [] for kind in BlockKind.values}
    for block in blocks:
        ids[block.kind].append(block.target_id)
    described: dict[tuple[str, int], Item] = {}
    for artist in Artist.objects.filter(pk__in=ids[BlockKind.ARTIST]):
        described["artist", artist.pk] = _describe(artist.external_id, artist.name)
    for album in Album.objects.filter(pk__in=ids[BlockKind.ALBUM]).select_related("artist"):
        described["album", album.pk] = _describe(album.external_id, album.title, album.artist.name, album.cover_url)
    for card in track_cards(ids[BlockKind.TRACK]).values():
        described["track", card["track_id"]] = _describe(
            card["external_id"], card["title"], card["artist_name"], card["cover_url"]
        )
    for tag in Tag.objects.filter(pk__in=ids[BlockKind.GENRE]):
        described["genre", tag.pk] = _describe(None, tag.name)
    return described


def _describe(external_id: str | None, name: str, artist_name: str | None = None, cover_url: str | None = None) -> Item:
    return {"external_id": external_id, "name": name, "artist_name": artist_name, "cover_url": cover_url or None}
