"""Sliders: their sum for each track, and the weight of plays."""

import numpy as np

from engine.data.confidence import ConfidenceWeights, PlayStatistics
from engine.data.plays import Plays, checksum_rows
from engine.data.sliders import SliderTracks, slider_values, slider_weights
from engine.data.user_item_pairs import UserItemPairs


def make_sliders(*sliders: tuple[list[int], float]) -> list[SliderTracks]:
    return [SliderTracks(np.array(ids, np.int64), value) for ids, value in sliders]


def test_the_sliders_of_a_track_add_up_to_one_at_most() -> None:
    sliders = make_sliders(([3, 5], 0.75), ([5, 9], 0.5), ([9], -0.25), ([], 1.0), ([7], -1.0))
    track_ids = np.array([9, 1, 5, 3, 7, 12])
    assert slider_values(sliders, track_ids).tolist() == [0.25, 0.0, 1.0, 0.75, -1.0, 0.0]
    weights = slider_weights(sliders, track_ids)
    assert (weights.dtype, weights.tolist()[1:3], weights.tolist()[4:]) == (np.float32, [1.0, 4.0], [0.25, 1.0])
    assert slider_values([], track_ids).tolist() == [0.0] * 6


def test_weights_multiply_the_confidence_of_what_was_played_and_not_of_what_was_refused() -> None:
    plays = Plays(
        user=np.zeros(4, np.int64),
        track=np.array([1, 1, 2, 3]),
        count=np.ones(4, np.float32),
        qualified=np.ones(4, np.bool_),
        time=np.arange(4),
        signal=np.array([0, 0, 0, 4], np.int8),
        weight=np.array([4, 4, 0.25, 4], np.float32),
    )
    pairs = UserItemPairs.from_listener(plays)
    confidence = ConfidenceWeights().compute(pairs, np.ones(4, np.float32), PlayStatistics())
    assert confidence.tolist() == [16.0, 1.0, -4.0]
    assert pairs.where(slice(1, 3)).weight.tolist() == [0.25, 4.0]
    assert len(set(checksum_rows(plays).tolist())) == 3
    assert checksum_rows(plays)[2] != checksum_rows(Plays.from_rows([(0, 2, 1, True, 0)]))[0]
