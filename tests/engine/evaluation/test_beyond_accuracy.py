from itertools import combinations

import numpy as np
import pytest
from scipy.sparse import csr_matrix

from engine.evaluation import beyond_accuracy
from engine.evaluation.beyond_accuracy import (
    artist_exposure,
    coverage,
    exposure_counts,
    gini,
    intra_list_diversity,
    item_vectors,
    list_means,
    novelty,
    popularity_gap,
    vector_diversity,
)

LISTS = np.array([[0, 1, 2], [2, 3, -1], [-1, -1, -1]])


def random_past(seed: int = 0, users: int = 40, items: int = 15) -> csr_matrix:
    return csr_matrix(np.random.default_rng(seed).random((users, items)) < 0.3)


def random_lists(seed: int = 0, users: int = 12, items: int = 15, k: int = 6) -> np.ndarray:
    """Return lists of distinct items; some are short, one is empty."""
    rng = np.random.default_rng(seed)
    lists = np.array([rng.permutation(items)[:k] for _ in range(users)])
    lists[1, 4:], lists[2, 1:], lists[3, :] = -1, -1, -1
    return lists


def test_novelty_is_self_information_in_bits() -> None:
    np.testing.assert_allclose(novelty(np.array([8, 4, 1, 0], np.float32), 8), [0, 1, 3, 3])


def test_list_means_ignore_the_padding_of_short_lists() -> None:
    means = list_means(np.array([1.0, 2.0, 6.0, 10.0]), LISTS, (1, 2, 3))
    np.testing.assert_allclose(means, [[1, 1.5, 3], [6, 8, 8], [np.nan] * 3])


def test_diversity_is_0_for_items_with_the_same_users_and_1_for_items_without_common_users() -> None:
    past = csr_matrix(np.array([[1, 1, 0, 0], [1, 1, 0, 0], [0, 0, 1, 0]], np.bool_))
    lists = np.array([[0, 1], [0, 2], [0, 3], [3, -1]])
    np.testing.assert_allclose(
        intra_list_diversity(item_vectors(past), lists, (2,), seed=0)[:, 0], [0, 1, 1, np.nan], atol=1e-6
    )


def test_diversity_agrees_with_cosines_computed_pair_by_pair() -> None:
    past, lists = random_past(), random_lists()
    columns = past.toarray().astype(float)
    cosine = lambda i, j: columns[:, i] @ columns[:, j] / np.linalg.norm(columns[:, i]) / np.linalg.norm(columns[:, j])  # noqa: E731
    expected = [
        [
            1 - np.mean([cosine(i, j) for i, j in combinations(pair, 2)]) if len(pair) > 1 else np.nan
            for pair in ([i for i in row[:k] if i >= 0] for k in (2, 4, 6))
        ]
        for row in lists
    ]
    np.testing.assert_allclose(intra_list_diversity(item_vectors(past), lists, (2, 4, 6), seed=0), expected, atol=1e-6)


def test_diversity_is_measured_on_a_seeded_sample_of_the_lists(monkeypatch: pytest.MonkeyPatch) -> None:
    vectors, lists = item_vectors(random_past()), np.tile(random_lists()[:1], (30, 1))
    monkeypatch.setattr(beyond_accuracy, "DIVERSITY_SAMPLE_SIZE", 10)
    monkeypatch.setattr(beyond_accuracy, "_LISTS_PER_BLOCK", 4)
    first, repeated, reseeded = (intra_list_diversity(vectors, lists, (6,), seed)[:, 0] for seed in (1, 1, 2))
    assert np.isfinite(first).sum() == 10
    assert np.isfinite(first).tolist() == np.isfinite(repeated).tolist() != np.isfinite(reseeded).tolist()


def test_exposure_weights_each_list_by_its_user() -> None:
    weights = np.array([[1, 1, 1], [0, 3, 5]], np.uint8)
    np.testing.assert_array_equal(exposure_counts(LISTS, weights, 5), [[1, 1, 2, 1, 0], [0, 0, 3, 3, 0]])


def test_coverage_is_a_share_of_the_played_items() -> None:
    exposure = np.array([[1.0, 0, 2, 7], [0, 0, 0, 1]])
    np.testing.assert_allclose(coverage(exposure, np.array([True, True, True, False])), [2 / 3, 0])


def test_gini_equals_values_computed_by_hand() -> None:
    np.testing.assert_allclose(
        gini(np.array([[3.0, 3, 3, 3], [0, 0, 0, 5], [0, 0, 1, 3], [0, 0, 0, 0]])), [0, 0.75, 0.625, 0]
    )


def test_gini_agrees_with_the_mean_absolute_difference_of_all_pairs() -> None:
    exposure = np.random.default_rng(3).integers(0, 20, 30).astype(float)
    mean_difference = np.abs(exposure[:, None] - exposure).mean()
    assert gini(exposure[None])[0] == pytest.approx(mean_difference / (2 * exposure.mean()))


def test_the_exposure_of_an_artist_is_that_of_all_their_items_and_unknown_artists_are_apart() -> None:
    exposure = np.array([[1.0, 2, 3, 4, 5], [0, 0, 1, 0, 1]])
    by_artist = artist_exposure(exposure, np.array([7, 9, 7, -1, -1]))
    assert sorted(by_artist[0].tolist()) == [2, 4, 4, 5]
    assert sorted(by_artist[1].tolist()) == [0, 0, 1, 1]


def test_the_popularity_gap_is_the_distance_of_mean_percentiles() -> None:
    """Of four played items, those with 8, 4, 1 and 1 listeners are at 7/8, 5/8, 1/4 and 1/4; unplayed ones at 0."""
    past = csr_matrix(np.array([[1, 1, 0, 0, 0], [0, 0, 1, 1, 0], [1, 0, 0, 0, 0], [0, 0, 0, 0, 0]], np.bool_))
    lists = np.array([[2, 3], [0, 1], [0, -1], [0, 1]])
    gap = popularity_gap(np.array([8, 4, 1, 1, 0], np.float32), past, lists, (1, 2))
    np.testing.assert_allclose(gap, [[0.5, 0.5], [0.625, 0.5], [0, 0], [np.nan] * 2])


def test_the_diversity_of_vectors_agrees_with_that_of_sparse_ones() -> None:
    past, lists = random_past(), random_lists()
    dense = past.T.toarray().astype(np.float32)
    expected = intra_list_diversity(item_vectors(past), lists, (2, 4, 6), seed=0)
    np.testing.assert_allclose(vector_diversity(dense, lists, (2, 4, 6)), expected, atol=1e-6)
