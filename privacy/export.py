"""Everything that is held about a listener, as one JSON document, in memory for a chunk of rows at a time."""

from collections.abc import Iterator
from itertools import islice
from typing import Any

import numpy as np
import orjson
from django.db.models import F, Model
from django.utils import timezone

from access.models import User
from privacy.personal_data import personal_data_of
from recommendations.models import UserFeatures
from recommendations.serving.model_cache import model_cache
from tracks.models import Track
from tracks.selectors import track_cards

ROWS = 1_000  # at a time
SECRETS = {"password", "digest", "session_key", "session_data"}  # what opens a door is no knowledge about a listener
Row = dict[str, Any]


def export_listener(user: User) -> Iterator[bytes]:
    """`{"exported_at", "listener", "model", "tables": {name: [row, …]}}`, in pieces. Cut short, it is no JSON."""
    head = {"exported_at": timezone.now(), "listener": _account(user), "model": model_data_of(user.pk)}
    yield _json(head)[:-1] + b',"tables":{'
    for number, (model, about) in enumerate(personal_data_of(user.pk).items()):
        yield (b"," if number else b"") + _json(model._meta.db_table) + b":["
        for later, rows in enumerate(_chunks(model, about)):
            yield (b"," if later else b"") + _json(rows)[1:-1]
        yield b"]"
    yield b"}}"


def model_data_of(user_id: int) -> Row | None:
    """What the version in service has learnt of a listener; None where it does not know them.

    interactions, newest: how many it has seen, and the UNIX second of the newest · vector: empty without factors.
    """
    bundle = model_cache.current().bundle
    row = bundle.users.row(user_id)
    if row is None:
        return None
    seen, newest = bundle.user_stamps[row].tolist()
    vector = bundle.user_factors[row].tolist()
    return {"version": bundle.version, "interactions": seen, "newest": newest, "vector": vector}


def _account(user: User) -> Row:
    return dict(User.objects.values(*_columns(User)).get(pk=user.pk))


def _chunks(model: type[Model], about: Any) -> Iterator[list[Row]]:
    rows = model._base_manager.filter(about).order_by("pk").values(*_columns(model), **_titles(model))
    rest = rows.iterator(chunk_size=ROWS)
    while chunk := list(islice(rest, ROWS)):
        yield _readable(model, chunk)


def _columns(model: type[Model]) -> list[str]:
    return [f.attname for f in model._meta.concrete_fields if f.name not in SECRETS]


def _titles(model: type[Model]) -> dict[str, F]:
    """Title and artist of each track a row points to."""
    names = [f.name for f in model._meta.concrete_fields if f.related_model is Track]
    return {f"{n}_title": F(f"{n}__title") for n in names} | {f"{n}_artist": F(f"{n}__artist__name") for n in names}


def _readable(model: type[Model], rows: list[Row]) -> list[Row]:
    """Tracks that are named by id alone, with title and artist; bytes as numbers."""
    listed = {i for row in rows for i in _track_ids(row)}
    known = track_cards(listed) if listed else {}
    for row in rows:
        if ids := _track_ids(row):
            row["tracks"] = [{"track_id": i} | _named(known.get(i)) for i in ids]
        if model is UserFeatures:
            row["embedding"] = np.frombuffer(bytes(row["embedding"]), "<f4").tolist()
    return rows


def _track_ids(row: Row) -> list[int]:
    """Of a slate, or of a track that is blocked."""
    return row.get("track_ids") or ([row["target_id"]] if row.get("kind") == "track" and "target_id" in row else [])


def _named(card: Row | None) -> Row:
    return {"title": card["title"], "artist": card["artist_name"]} if card else {"title": None, "artist": None}


def _json(value: Any) -> bytes:
    return orjson.dumps(value, default=str, option=orjson.OPT_UTC_Z | orjson.OPT_NON_STR_KEYS)
