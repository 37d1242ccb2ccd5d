"""Read the data of the admin pages about model quality."""

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

MAX_VERSIONS = 100  # three months of nightly versions; a chart has a few pixels for each
MAX_TRACKS = 3_000  # the layout takes seconds, and the dots do not overlap yet
MAX_TAGS = 10  # people can distinguish about this many colours
LAYOUT_LOCK_SECONDS = 120  # after this a request that was killed during the layout no longer blocks others
# A PCA layout is cached only briefly, so that t-SNE replaces it soon after scikit-learn is installed.
LAYOUT_CACHE_SECONDS = {"t-SNE": 30 * 24 * 3600, "PCA": 3600}


class MapUnavailable(Exception):
    """There are no tracks to lay out; the message says why."""


def versions_with_runs() -> QuerySet[ModelArtifact]:
    """Return the versions, the newest first, each with `trainings`: the runs that trained it.

    Runs that found nothing new refer to a version too, but did not train it, and are left out.
    """
    trained = [TrainingRun.Status.PUBLISHED, TrainingRun.Status.HELD_BACK]
    runs = TrainingRun.objects.filter(status__in=trained).order_by("pk")
    return ModelArtifact.objects.prefetch_related(Prefetch("runs", runs, to_attr="trainings"))


def recent_versions() -> list[ModelArtifact]:
    """Return the newest `MAX_VERSIONS`, the oldest of them first."""
    return list(versions_with_runs()[:MAX_VERSIONS])[::-1]


def comparison_version(artifact: ModelArtifact, requested: str = "", compared_with: str = "") -> ModelArtifact | None:
    """Return the version to compare `artifact` with.

    That is the requested one, or else the one in service. The version in service itself is compared with the one that
    it was evaluated next to, or else with the one in service before it.

    Args:
        artifact: the version of the page.
        requested: a version name, or "".
        compared_with: the version in service when `artifact` was trained, or "".
    """
    pointer = current_pointer()
    serving, previous = (pointer.version, pointer.previous) if pointer else (None, None)
    candidates = (requested, serving, compared_with, previous)
    names = [name for name in candidates if name and name != artifact.version]
    versions = {other.version: other for other in versions_with_runs().filter(version__in=names)}
    return next((versions[name] for name in names if name in versions), None)


def other_version_of_run(artifact: ModelArtifact) -> ModelArtifact | None:
    """Return the other version that the run of `artifact` trained, if there are two.

    The row of a run names its last version only. One run trains at a time, so that what was created during it is its.
    """
    at = artifact.created_at
    run = TrainingRun.objects.filter(started_at__lte=at, finished_at__gte=at).first()
    if run is None:
        return None
    during = ModelArtifact.objects.filter(created_at__range=(run.started_at, run.finished_at))
    return during.exclude(pk=artifact.pk).first()


@dataclass(frozen=True)
class MapTracks:
    """A version and the rows of the tracks that its map shows: int64 (tracks,), the most popular first."""

    bundle: ModelBundle
    rows: NDArray[np.int64]


def select_map_tracks(artifact: ModelArtifact) -> MapTracks:
    """Return the most popular tracks that have factors. Raises MapUnavailable if there are none."""
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
    """Return the map of a version, JSON-ready, or None while another request computes its layout.

    `tracks` are those that still exist, `tags` the most frequent tags as `[name, tracks]`. Raises MapUnavailable.
    """
    selected, key = select_map_tracks(artifact), f"track_layout:{artifact.version}"
    layout = cache.get(key)
    if not isinstance(layout, dict) or not layout.keys() >= {"method", "positions"}:
        if not cache.add(f"{key}:busy", True, LAYOUT_LOCK_SECONDS):
            return None
        try:
            projection = project_to_plane(selected.bundle.item_factors[selected.rows])
            layout = {
                "method": projection.method,
                "explained_variance": round(projection.explained_variance, 4),
                "positions": projection.positions.round(4).tolist(),
            }
            cache.set(key, layout, LAYOUT_CACHE_SECONDS[layout["method"]])
        finally:
            cache.delete(f"{key}:busy")
    track_ids = selected.bundle.items.ids[selected.rows].tolist()
    popularity = selected.bundle.popularity[selected.rows].tolist()
    cards, tags = track_cards(track_ids), main_tags(track_ids)
    tracks = [
        {
            "at": position,
            "title": cards[track_id]["title"],
            "artist": cards[track_id]["artist_name"],
            "tag": tags.get(track_id, ""),
            "listeners": int(listeners),
        }
        for track_id, listeners, position in zip(track_ids, popularity, layout["positions"], strict=True)
        if track_id in cards
    ]
    frequent_tags = Counter(track["tag"] for track in tracks if track["tag"]).most_common(MAX_TAGS)
    return {
        "method": layout["method"],
        "explained_variance": layout["explained_variance"],
        "tags": frequent_tags,
        "tracks": tracks,
    }
