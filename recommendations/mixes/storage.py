"""The mixes of a day are made once and stored, so that they stay the same in every process until midnight UTC.

If several processes make them at the same time, the first one to store them wins, and the others use what it stored.
In the course of a day they are made anew only if they have become useless: for a listener who has done twice as much
since, or whose interactions were deleted or left out, for a catalogue of twice the size, and with the first model.
"""

from collections.abc import Sequence
from datetime import date
from typing import Any

from django.db import IntegrityError, transaction

from recommendations.mixes.selectors import load_stored_mixes
from recommendations.mixes.shelves import Shelf, make_personal_shelves, make_shared_shelves
from recommendations.models import StoredMixes
from recommendations.serving.model_cache import LoadedModel
from recommendations.serving.request_context import RequestContext


def shelves_of_the_day(context: RequestContext, model: LoadedModel, market: str, day: date) -> list[Shelf]:
    """Return the stored mixes of a listener and of a market, after making those that are missing.

    Args:
        context: of the request. Without consent there are no mixes of the listener.
        market: "" for all.
    """
    listener_id = context.listener_id if context.settings.exists and context.settings.consent else None
    own, shared = load_stored_mixes(listener_id, market, day)
    interactions = 0 if listener_id is None else context.history.interactions
    if (own is None and interactions) or (own and _rests_on_others(own, interactions, model)):
        shelves = make_personal_shelves(context, model, day)
        own = _store(own, shelves, model, user_id=listener_id, day=day, basis=interactions)
    personal = _parse(own) if own else []
    tracks = len(model.bundle.items)
    if shared is None or is_outdated(shared, tracks, model):
        shared = _store(
            shared, make_shared_shelves(context, model, market), model, market=market, day=day, basis=tracks
        )
    kinds = {shelf.kind for shelf in personal}
    return [*personal, *(shelf for shelf in _parse(shared) if shelf.kind not in kinds)]


def _rests_on_others(own: StoredMixes, interactions: int, model: LoadedModel) -> bool:
    """Return whether mixes of a listener rest on much less than is known now, or on plays that no longer count."""
    return is_outdated(own, interactions, model) or interactions < own.basis


def is_outdated(stored: StoredMixes, basis: int, model: LoadedModel) -> bool:
    """Return whether mixes of today are to be made anew, because so much more is known now."""
    return basis >= 2 * max(stored.basis, 1) or bool(model.bundle.version and not stored.model_version)


def build_row(shelves: Sequence[Shelf], model: LoadedModel, **fields: Any) -> StoredMixes:
    return StoredMixes(
        shelves=[shelf.to_json() for shelf in shelves], model_version=model.bundle.version or "", **fields
    )


def _store(before: StoredMixes | None, shelves: Sequence[Shelf], model: LoadedModel, **fields: Any) -> StoredMixes:
    """Store mixes in place of others, and return those that count: another process may have been quicker.

    If there are none, nothing is stored, and the others are deleted all the same: nobody would be shown them.
    """
    row = build_row(shelves, model, **fields)
    try:
        with transaction.atomic():
            if before is not None:
                StoredMixes.objects.filter(pk=before.pk).delete()
            if not shelves:
                return row
            StoredMixes.objects.bulk_create([row], ignore_conflicts=True)
    except IntegrityError:  # the listener was erased meanwhile
        return row
    of_listener, of_market = load_stored_mixes(row.user_id, row.market, row.day)
    return (of_market if row.user_id is None else of_listener) or row


def _parse(row: StoredMixes) -> list[Shelf]:
    return [Shelf.from_json(stored, row.model_version, row.generated_at) for stored in row.shelves]
