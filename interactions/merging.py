"""Move what one listener did to another listener, each play once.

Both listeners' rows must be locked, so that no other process stores reports of the same plays at this moment. What is
left of the first listener afterwards is stored for the second one already.
"""

from collections.abc import Iterator
from typing import Any, TypeVar

from django.db.models import Exists, OuterRef, Q, QuerySet

from interactions.bulk import NewInteraction
from interactions.models import Block, Exposure, Interaction, LatestImport, UnmatchedListen
from interactions.play_reports import APP, SCROBBLE_SOURCES
from interactions.scrobbles import absorb_scrobbles, record_scrobbles, record_waiting_listens
from tracks.selectors import track_durations

BATCH_SIZE = 2_000
T = TypeVar("T")
SCROBBLES = Q(kind=Interaction.Kind.PLAY, plays=1, source__in=SCROBBLE_SOURCES)
APP_PLAYS = Q(kind=Interaction.Kind.PLAY, source=APP)
_COPIED = [name for name in NewInteraction._fields if name != "user_id"]


def merge_interactions(source_id: int, target_id: int) -> tuple[int, int]:
    """Move the interactions of one listener to another.

    Events with the same id are one event. Plays that scrobblers and histories reported are compared with the plays of
    the other listener, as when they arrive. Of two opinions of a track the newer one counts, as always.

    Returns:
        By how many interactions the second listener has more, and how many were there already.
    """
    rows, before = Interaction.objects.filter(user=source_id), Interaction.objects.filter(user=target_id).count()
    total = rows.count()
    scrobbles = [_copy(row, target_id) for row in rows.filter(SCROBBLES).values(*_COPIED).iterator()]
    rows.filter(SCROBBLES).delete()
    rows.filter(_is_known(Interaction, target_id)).delete()
    app_plays = [_copy(row, target_id) for row in rows.filter(APP_PLAYS).values(*_COPIED).iterator()]
    rows.update(user=target_id)
    for batch in _split(app_plays):  # the target may have scrobbles of these plays
        absorb_scrobbles(batch, track_durations({row.track_id for row in batch}))
    for batch in _split(scrobbles):
        record_scrobbles(target_id, batch, track_durations({row.track_id for row in batch}))
    added = Interaction.objects.filter(user=target_id).count() - before
    return added, total - added


def merge_exposures(source_id: int, target_id: int) -> int:
    """Move the exposures of one listener to another, and return how many were not there already."""
    return Exposure.objects.filter(~_is_known(Exposure, target_id), user=source_id).update(user=target_id)


def merge_waiting_listens(source_id: int, target_id: int) -> int:
    """Move the waiting listens of one listener to another, and return how many were not there already."""
    rows = list(UnmatchedListen.objects.filter(user=source_id))
    for row in rows:
        row.pk, row.user_id = None, target_id
    return sum(record_waiting_listens(target_id, batch) for batch in _split(rows))


def merge_blocks(source_id: int, target_id: int) -> int:
    """Move the blocks of one listener to another, and return how many were not there already.

    Of two blocks of the same thing the one that lasts longer counts.
    """
    blocks = {(block.kind, block.target_id): block for block in Block.objects.filter(user=target_id)}
    moved = 0
    for block in Block.objects.filter(user=source_id):
        own = blocks.get((block.kind, block.target_id))
        if own is None:
            moved += Block.objects.filter(pk=block.pk).update(user=target_id)
        elif own.until is not None and (block.until is None or block.until > own.until):
            Block.objects.filter(pk=own.pk).update(until=block.until)
    return moved


def merge_latest_imports(source_id: int, target_id: int) -> None:
    """Let the clients that copy histories of one listener continue for another.

    If both have copied from the same service, they continue at the earlier time: a listen that is copied twice counts
    once, and one that is skipped would be missing.
    """
    times = dict(LatestImport.objects.filter(user=target_id).values_list("service", "listened_at"))
    for row in LatestImport.objects.filter(user=source_id):
        if row.service not in times:
            LatestImport.objects.filter(pk=row.pk).update(user=target_id)
        elif row.listened_at < times[row.service]:
            LatestImport.objects.filter(user=target_id, service=row.service).update(listened_at=row.listened_at)


def _is_known(model: type[Interaction] | type[Exposure], target_id: int) -> Exists:
    """Return the condition that the other listener has an event with the same id."""
    events: QuerySet[Any] = model._default_manager.filter(user=target_id, event_id=OuterRef("event_id"))
    return Exists(events)


def _copy(row: dict[str, Any], target_id: int) -> NewInteraction:
    return NewInteraction(user_id=target_id, **row)


def _split(rows: list[T]) -> Iterator[list[T]]:
    return (rows[start : start + BATCH_SIZE] for start in range(0, len(rows), BATCH_SIZE))
