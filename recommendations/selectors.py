"""What the admin's pages about model quality show."""

from collections import Counter
from dataclasses import dataclass
from typing import Any

import numpy as np
from django.core.cache import cache
from django.db.models import Prefetch, QuerySet
from numpy.typing import NDArray

from engine.bundle.model_bundle import ModelBundle
from engine.bundle.versions import LOAD_ERRORS
from engine.projection import project_to_plane
from recommendations.models import ModelArtifact, TrainingRun
from recommendations.version_store import current_pointer, version_store
from tracks.selectors import main_tags, track_cards

MAX_VERSIONS = 100  # a season of nights, and still a few pixels for each
MAX_TRACKS = 3_000  # laid out in seconds, and dots that can be told apart
MAX_TAGS = 10  # colours that can be told apart
_BUSY_SECONDS = 120  # a process killed in between is waited for no longer
_KEPT_SECONDS = {"t-SNE": 30 * 24 * 3600, "PCA": 3600}  # so that scikit-learn, once installed, is soon seen


class MapUnavailable(Exception):
    """There is nothing to lay out; the message says why."""


def versions_with_runs() -> QuerySet[ModelArtifact]:
    """The newest first; `trainings` of each are the runs that trained it, not those that found nothing newer."""
    trained = [TrainingRun.Status.PUBLISHED, TrainingRun.Status.HELD_BACK]
    runs = TrainingRun.objects.filter(status__in=trained).order_by("pk")
    return ModelArtifact.objects.prefetch_related(Prefetch("runs", runs, to_attr="trainings"))


def recent_versions() -> list[ModelArtifact]:
    """The newest `MAX_VERSIONS`, in the order they were trained."""
    return list(versions_with_runs()[:MAX_VERSIONS])[::-1]


def comparison_version(artifact: ModelArtifact, wanted: str = "", judged_beside: str = "") -> ModelArtifact | None:
    """What a version is compared with: the one that is wanted, else the one in service; for that one itself, the
    version it was judged beside, else the one in service before it."""
    pointer = current_pointer()
    serving, previous = (pointer.version, pointer.previous) if pointer else (None, None)
    names = [name for name in (wanted, serving, judged_beside, previous) if name and name != artifact.version]
    found = {other.version: other for other in versions_with_runs().filter(version__in=names)}
    return next((found[name] for name in names if name in found), None)


@dataclass(frozen=True)
class MapTracks:
    """A version and the rows of its tracks that a map shows: int64, the most popular first."""

    bundle: ModelBundle
    rows: NDArray[np.int64]


def select_map_tracks(artifact: ModelArtifact) -> MapTracks:
    """Raises NoMap."""
    if artifact.pruned_at is not None:
        raise MapUnavailable("The files of this version have been removed, and its factors with them.")
    try:
        bundle = version_store().load(artifact.version, verify=False)
    except LOAD_ERRORS as error:
        raise MapUnavailable(f"The files of this version cannot be read: {error}") from error
    if not bundle.factors:
        raise MapUnavailable("This version has no factors, and without them its tracks have no positions to draw.")
    rows = bundle.popular_rows[bundle.item_norms[bundle.popular_rows] > 0][:MAX_TRACKS]
    if not len(rows):
        raise MapUnavailable("No track of this version has factors.")
    return MapTracks(bundle, rows)


def build_track_map(artifact: ModelArtifact) -> dict[str, Any] | None:
    """JSON-ready, or None while another request is laying it out. Raises NoMap."""
    chosen, key = select_map_tracks(artifact), f"track_map:{artifact.version}"
    layout = cache.get(key)
    if layout is None:
        if not cache.add(f"{key}:busy", True, _BUSY_SECONDS):
            return None
        try:
            layout = _layout(chosen)
            cache.set(key, layout, _KEPT_SECONDS[layout["method"]])
        finally:
            cache.delete(f"{key}:busy")
    return {"method": layout["method"], "kept": layout["kept"]} | _labelled(chosen, layout["positions"])


def _layout(chosen: MapTracks) -> dict[str, Any]:
    laid = project_to_plane(chosen.bundle.item_factors[chosen.rows])
    return {
        "method": laid.method,
        "kept": round(laid.explained_variance, 4),
        "positions": laid.positions.round(4).tolist(),
    }


def _labelled(chosen: MapTracks, positions: list[list[float]]) -> dict[str, Any]:
    """`tracks`: those that still exist; `tags`: the most frequent of them, `[name, tracks]`."""
    ids, popularity = chosen.bundle.items.ids[chosen.rows].tolist(), chosen.bundle.popularity[chosen.rows].tolist()
    known, tags = track_cards(ids), main_tags(ids)
    tracks = [
        {
            "at": at,
            "title": known[track]["title"],
            "artist": known[track]["artist_name"],
            "tag": tags.get(track, ""),
            "listeners": int(listeners),
        }
        for track, listeners, at in zip(ids, popularity, positions, strict=True)
        if track in known
    ]
    return {"tags": Counter(t["tag"] for t in tracks if t["tag"]).most_common(MAX_TAGS), "tracks": tracks}
