"""Sliders: how much more, or less, of an artist or a tag a listener wants."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

CONFIDENCE_OCTAVES = 2.0  # a slider at 1 doubles the confidence twice, and one at -1 halves it twice


class SliderTracks(NamedTuple):
    """The tracks of an artist or a tag, and where the listener has put its slider.

    Attributes:
        track_ids: int64 (k,), ascending.
        value: from -1, as little as possible, to 1, as much as possible; not 0.
    """

    track_ids: NDArray[np.int64]
    value: float


def slider_values(sliders: Sequence[SliderTracks], track_ids: NDArray[np.int64]) -> NDArray[np.float64]:
    """Return the sum of the sliders that concern each track, from -1 to 1: float64 (n,)."""
    values = np.zeros(len(track_ids))
    for slider in sliders:
        if len(slider.track_ids):
            position = np.minimum(np.searchsorted(slider.track_ids, track_ids), len(slider.track_ids) - 1)
            values += np.where(slider.track_ids[position] == track_ids, slider.value, 0.0)
    return np.clip(values, -1.0, 1.0)


def slider_weights(sliders: Sequence[SliderTracks], track_ids: NDArray[np.int64]) -> NDArray[np.float32]:
    """Return the weights of a listener's own plays, see `Plays.weight`: 2^(2 * value), float32 (n,)."""
    return np.exp2(CONFIDENCE_OCTAVES * slider_values(sliders, track_ids)).astype(np.float32)
