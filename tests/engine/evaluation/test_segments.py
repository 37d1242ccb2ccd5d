import numpy as np

from engine.evaluation.segments import item_segments, user_segments


def test_a_listener_is_cold_below_five_tracks_and_light_below_the_median_of_the_rest() -> None:
    segments = user_segments(np.array([0, 4, 5, 6, 7, 100]))
    assert {name: np.flatnonzero(of).tolist() for name, of in segments.items()} == {
        "cold": [0, 1],
        "light": [2, 3],
        "heavy": [4, 5],
    }
    assert user_segments(np.array([0, 4, 5]), cold_threshold=1)["cold"].tolist() == [True, False, False]


def test_where_all_are_cold_nobody_is_light_or_heavy() -> None:
    segments = user_segments(np.array([1, 2]))
    assert [int(of.sum()) for of in segments.values()] == [2, 0, 0]


def test_the_head_is_as_few_tracks_as_hold_half_of_the_pairs() -> None:
    popularity = np.array([1, 5, 0, 4, 2, 4], np.float32)  # 16 in all: 5 and the first 4 hold 9
    assert np.flatnonzero(item_segments(popularity)["head"]).tolist() == [1, 3]
    assert np.flatnonzero(item_segments(popularity, head_share=5 / 16)["head"]).tolist() == [1]
    assert np.flatnonzero(item_segments(popularity)["tail"]).tolist() == [0, 2, 4, 5]
    tied = np.tile(np.array([1, 2], np.float32), 300)  # 900 in all: 225 of the tracks that have 2 hold half
    assert np.flatnonzero(item_segments(tied)["head"]).tolist() == list(range(1, 450, 2))


def test_every_one_is_in_one_segment() -> None:
    counts = np.random.default_rng(0).integers(0, 50, 500)
    assert (sum(of.astype(int) for of in user_segments(counts).values()) == 1).all()
    assert (sum(of.astype(int) for of in item_segments(counts.astype(np.float32)).values()) == 1).all()
