import numpy as np

from engine.evaluation.segments import item_segments, user_segments


def test_users_who_are_not_cold_are_light_below_the_median_of_them() -> None:
    lengths = np.array([0, 4, 5, 6, 7, 100])
    segments = user_segments(lengths, lengths < 5)
    assert {name: np.flatnonzero(mask).tolist() for name, mask in segments.items()} == {
        "cold": [0, 1],
        "light": [2, 3],
        "heavy": [4, 5],
    }


def test_no_user_is_light_or_heavy_when_all_are_cold() -> None:
    segments = user_segments(np.array([1, 2]), np.ones(2, np.bool_))
    assert [int(mask.sum()) for mask in segments.values()] == [2, 0, 0]


def test_the_head_is_the_fewest_items_that_hold_half_of_the_pairs() -> None:
    popularity = np.array([1, 5, 0, 4, 2, 4], np.float32)  # 16 pairs: the items with 5 and the first 4 hold 9
    assert np.flatnonzero(item_segments(popularity)["head"]).tolist() == [1, 3]
    assert np.flatnonzero(item_segments(popularity, head_share=5 / 16)["head"]).tolist() == [1]
    assert np.flatnonzero(item_segments(popularity)["tail"]).tolist() == [0, 2, 4, 5]
    tied = np.tile(np.array([1, 2], np.float32), 300)  # 900 pairs: 225 of the items with 2 hold half
    assert np.flatnonzero(item_segments(tied)["head"]).tolist() == list(range(1, 450, 2))


def test_every_user_and_item_is_in_exactly_one_segment() -> None:
    counts = np.random.default_rng(0).integers(0, 50, 500)
    assert (sum(mask.astype(int) for mask in user_segments(counts, counts < 5).values()) == 1).all()
    assert (sum(mask.astype(int) for mask in item_segments(counts.astype(np.float32)).values()) == 1).all()
