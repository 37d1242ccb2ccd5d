"""Read the sliders of listeners, and weight plays by them."""

from collections import defaultdict
from collections.abc import Iterator
from typing import Any, NamedTuple

import numpy as np
import orjson
from numpy.typing import NDArray

from access.selectors import LISTENER
from common.prepared_queries import RowsAsJson
from engine.data.sliders import SliderTracks, slider_weights
from interactions.models import Slider, SliderKind
from tracks.models import Track, TrackTag

Ids = NDArray[np.int64]


class SliderRow(NamedTuple):
    """A slider, and the artist or tag that it belongs to."""

    kind: str
    target_id: int
    value: float


def sliders_subquery(listener: Any = LISTENER) -> RowsAsJson:
    """Return a subquery for the sliders of a listener, to be parsed by `parse_sliders`."""
    return RowsAsJson(Slider.objects.filter(user=listener).values(*SliderRow._fields), SliderRow._fields)


def parse_sliders(column: str | None) -> tuple[SliderRow, ...]:
    return tuple(sorted(SliderRow(*row) for row in orjson.loads(column or "[]")))


def load_sliders(user_id: int) -> list[SliderRow]:
    """Return the sliders of a listener, those that ask for most first."""
    rows = Slider.objects.filter(user=user_id).order_by("-value", "kind", "target_id")
    return [SliderRow(*row) for row in rows.values_list(*SliderRow._fields)]


def load_track_ids_of_slider(kind: str, target_id: int) -> Ids:
    """Return the ids of the tracks of an artist or a tag, ascending: int64 (k,)."""
    ids: Iterator[int]
    if kind == SliderKind.ARTIST:
        ids = Track.objects.filter(artist=target_id).values_list("pk", flat=True).iterator()
    else:
        ids = TrackTag.objects.filter(tag=target_id).values_list("track_id", flat=True).iterator()
    return np.sort(np.fromiter(ids, np.int64))


def load_sliders_by_listener() -> dict[int, list[SliderTracks]]:
    """Return the sliders of all listeners who have any, with their tracks."""
    tracks: dict[tuple[str, int], Ids] = {}
    by_listener: dict[int, list[SliderTracks]] = defaultdict(list)
    rows: Iterator[Any] = Slider.objects.order_by("pk").values_list("user_id", *SliderRow._fields).iterator()
    for user_id, kind, target_id, value in rows:
        if (kind, target_id) not in tracks:
            tracks[kind, target_id] = load_track_ids_of_slider(kind, target_id)
        by_listener[user_id].append(SliderTracks(tracks[kind, target_id], value))
    return by_listener


def weigh_plays(user: Ids, track: Ids, sliders: dict[int, list[SliderTracks]]) -> NDArray[np.float32]:
    """Return the weight of each play, see `engine.data.plays.Plays.weight`: float32 (n,).

    Args:
        user, track: ids, int64 (n,).
    """
    weights = np.ones(len(user), np.float32)
    own = np.flatnonzero(np.isin(user, list(sliders)))
    own = own[np.argsort(user[own], kind="stable")]
    for rows in np.split(own, np.flatnonzero(np.diff(user[own])) + 1) if len(own) else ():
        weights[rows] = slider_weights(sliders[int(user[rows[0]])], track[rows])
    return weights
