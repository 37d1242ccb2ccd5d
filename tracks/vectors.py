"""Embeddings of tracks that the app computed, from audio or lyrics for example.

Recommendations of tracks that came after training depend on them, and those of all others from the next training on, so
that writing them bumps the catalogue's revision.
"""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from django.db import transaction

from common.http.upserts import UpsertOutcome
from tracks.models import Track, TrackVector
from tracks.selectors import ids_by_external_id
from tracks.services import bump_catalogue_revision, lock_catalogue

STORED_DTYPE = np.dtype("<f4")
UNKNOWN_TRACK = "no track has this id; create it by PUT /tracks first"


@transaction.atomic
def upsert_vectors(name: str, items: Sequence[Mapping[str, Any]]) -> list[UpsertOutcome]:
    """Store vectors of tracks. All vectors of one name have the dimension of the first one.

    Args:
        name: what computed the vectors.
        items: with `external_id` or `id` of a track, and `vector`, float32 (d,).

    Returns:
        for each item, what became of it, with the track's id.
    """
    lock_catalogue()  # so that two clients do not store the first vectors of a name with different dimensions
    ids = ids_by_external_id(Track, [item["external_id"] for item in items if "id" not in item])
    track_ids = [item["id"] if "id" in item else ids.get(item["external_id"]) for item in items]
    stored = dict(TrackVector.objects.filter(name=name, track__in=track_ids).values_list("track_id", "embedding"))
    dimension = TrackVector.objects.filter(name=name).values_list("dimension", flat=True).first()
    rows: list[TrackVector] = []
    outcomes: list[UpsertOutcome] = []
    for item, track_id in zip(items, track_ids, strict=True):
        vector = item["vector"]
        if track_id is None:
            outcomes.append(UpsertOutcome("rejected", errors={"external_id": UNKNOWN_TRACK}))
            continue
        dimension = dimension or len(vector)
        if len(vector) != dimension:
            advice = f"the vectors called {name} have {dimension}; use another name for vectors of another model"
            outcomes.append(UpsertOutcome("rejected", errors={"vector": f"has {len(vector)} numbers, but {advice}"}))
            continue
        embedding = vector.astype(STORED_DTYPE).tobytes()
        if track_id not in stored:
            outcomes.append(UpsertOutcome("created", track_id))
        elif bytes(stored[track_id]) == embedding:
            outcomes.append(UpsertOutcome("unchanged", track_id))
            continue
        else:
            outcomes.append(UpsertOutcome("updated", track_id))
        rows.append(TrackVector(track_id=track_id, name=name, dimension=dimension, embedding=embedding))
    TrackVector.objects.bulk_create(
        rows,
        update_conflicts=True,
        unique_fields=["track", "name"],
        update_fields=["embedding", "updated_at"],
    )
    if rows:
        bump_catalogue_revision()
    return outcomes


@transaction.atomic
def delete_vector(track_id: int, name: str) -> None:
    """Delete the vector of a track, if there is one."""
    lock_catalogue()
    deleted, _ = TrackVector.objects.filter(track=track_id, name=name).delete()
    if deleted:
        bump_catalogue_revision()


def find_vector(track_id: int, name: str) -> dict[str, Any] | None:
    """Return the vector of a track as the API shows it, or None."""
    row = TrackVector.objects.filter(track=track_id, name=name).first()
    if row is None:
        return None
    vector = np.frombuffer(row.embedding, STORED_DTYPE).tolist()
    return {"track_id": track_id, "name": name, "dimension": row.dimension, "updated_at": row.updated_at} | {
        "vector": vector
    }
