"""Export all data about a listener as one JSON document, streamed a chunk of rows at a time."""

from collections.abc import Iterator
from itertools import islice
from typing import Any

import numpy as np
import orjson
from django.db.models import F, Model, Q
from django.utils import timezone

from access.models import User
from privacy.personal_data import personal_data_of
from recommendations.models import UserFeatures
from recommendations.serving.model_cache import model_cache
from tracks.models import Track
from tracks.selectors import track_cards

CHUNK_ROWS = 1_000
SECRETS = {"password", "digest", "session_key", "session_data"}  # credentials are not data about a listener
Row = dict[str, Any]


def export_listener(user: User) -> Iterator[bytes]:
    """Yield the pieces of `{"exported_at", "listener", "model", "tables": {name: [row, …]}}`.

    A document that was cut off is not valid JSON, so that the reader notices.
    """
    head = {"exported_at": timezone.now(), "listener": _account(user), "model": model_data_of(user.pk)}
    yield _json(head)[:-1] + b',"tables":{'
    for table_number, (model, row_filter) in enumerate(personal_data_of(user.pk).items()):
        yield (b"," if table_number else b"") + _json(model._meta.db_table) + b":["
        for chunk_number, rows in enumerate(_chunks(model, row_filter)):
            yield (b"," if chunk_number else b"") + _json(rows)[1:-1]
        yield b"]"
    yield b"}}"


def model_data_of(user_id: int) -> Row | None:
    """Return what the model in service has stored of a listener, or None if it does not know them.

    This is the number of the listener's interactions in the training data, the UNIX time of the newest of them, and the
    listener's vector, which is empty for models without factors.
    """
    bundle = model_cache.current().bundle
    row = bundle.users.row(user_id)
    if row is None:
        return None
    interactions, newest = bundle.user_stamps[row, :2].tolist()
    vector = bundle.user_factors[row].tolist()
    return {"version": bundle.version, "interactions": interactions, "newest": newest, "vector": vector}


def _account(user: User) -> Row:
    return dict(User.objects.values(*_columns(User)).get(pk=user.pk))


def _chunks(model: type[Model], row_filter: Q) -> Iterator[list[Row]]:
    rows = model._base_manager.filter(row_filter).order_by("pk").values(*_columns(model), **_titles(model))
    iterator = rows.iterator(chunk_size=CHUNK_ROWS)
    while chunk := list(islice(iterator, CHUNK_ROWS)):
        yield _make_readable(model, chunk)


def _columns(model: type[Model]) -> list[str]:
    return [f.attname for f in model._meta.concrete_fields if f.name not in SECRETS]


def _titles(model: type[Model]) -> dict[str, F]:
    """Return expressions for title and artist of each track that a row refers to."""
    names = [f.name for f in model._meta.concrete_fields if f.related_model is Track]
    return {f"{n}_title": F(f"{n}__title") for n in names} | {f"{n}_artist": F(f"{n}__artist__name") for n in names}


def _make_readable(model: type[Model], rows: list[Row]) -> list[Row]:
    """Add title and artist to tracks that rows name by id alone, and turn vectors in bytes into numbers."""
    track_ids = {track_id for row in rows for track_id in _track_ids(row)}
    cards = track_cards(track_ids) if track_ids else {}
    for row in rows:
        if ids := _track_ids(row):
            row["tracks"] = [{"track_id": i} | _names(cards.get(i)) for i in ids]
        if model is UserFeatures:
            row["embedding"] = np.frombuffer(bytes(row["embedding"]), "<f4").tolist()
    return rows


def _track_ids(row: Row) -> list[int]:
    """Return the ids of the tracks in a row of slates, radios, mixes or blocks."""
    if "shelves" in row:
        return [track_id for shelf in row["shelves"] for track_id, *_ in shelf["picks"]]
    return row.get("track_ids") or ([row["target_id"]] if row.get("kind") == "track" and "target_id" in row else [])


def _names(card: Row | None) -> Row:
    return {"title": card["title"], "artist": card["artist_name"]} if card else {"title": None, "artist": None}


def _json(value: Any) -> bytes:
    return orjson.dumps(value, default=str, option=orjson.OPT_UTC_Z | orjson.OPT_NON_STR_KEYS)
