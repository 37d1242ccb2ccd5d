from typing import Any

import numpy as np
import pytest
import scipy.sparse as sp

from engine.data.content_features import DENSE_FEATURES, ContentFeatures, Embedding
from engine.models import content_map
from engine.models.content_map import ContentMap, ContentRegression, MapParameters

WEAK = MapParameters(ridge=1e-4, artist_shrinkage=1e-4, album_shrinkage=1e-4)
N = 60


def make_features(
    columns: dict[str, Any] | None = None, dense: Any = None, embeddings: dict[str, Embedding] | None = None
) -> ContentFeatures:
    """Return the features of N tracks from the values of columns, (N,), by name."""
    columns = columns or {}
    values = np.array(list(columns.values()), np.float32).reshape(len(columns), N).T
    unknown = np.full((N, len(DENSE_FEATURES)), np.nan, np.float32)
    return ContentFeatures(
        np.arange(N), tuple(columns), sp.csr_matrix(values), unknown if dense is None else dense, embeddings or {}
    )


def learn(
    features: ContentFeatures, factors: Any, popularity: Any = None, parameters: MapParameters = WEAK
) -> ContentMap:
    popularity = np.ones(N) if popularity is None else popularity
    regression = ContentRegression(features, np.asarray(factors, np.float32), np.asarray(popularity, np.float32))
    return regression.solve(parameters)


def all_but_last_10() -> Any:
    return np.where(np.arange(N) < N - 10, 1, 0)


def test_where_tags_explain_factors_exactly_a_new_track_has_the_vector_of_its_tag() -> None:
    tag = np.arange(N) % 3
    truth = np.array([[1, 0], [0, 2], [-1, 1]])[tag]
    features = make_features({f"tag:{i}": tag == i for i in range(3)})
    played = all_but_last_10()
    vectors = learn(features, truth * played[:, None], played)(features)
    np.testing.assert_allclose(vectors, truth, atol=1e-3)


def test_one_dense_feature_alone_is_enough() -> None:
    energy = np.linspace(0, 1, N)
    dense = np.full((N, 5), np.nan, np.float32)
    dense[:, 1] = energy
    features = make_features(dense=dense)
    vectors = learn(features, np.column_stack([energy, 1 - energy]), all_but_last_10())(features)
    np.testing.assert_allclose(vectors, np.column_stack([energy, 1 - energy]), atol=1e-3)


def test_an_embedding_alone_is_enough_even_if_some_tracks_lack_it() -> None:
    rng = np.random.default_rng(0)
    audio, weights = rng.standard_normal((N, 6)).astype(np.float32), rng.standard_normal((6, 3))
    rows = np.arange(2, N)
    features = make_features(embeddings={"audio": Embedding(rows, audio[2:])})
    truth = audio @ weights
    truth[:2] = 0
    vectors = learn(features, truth, all_but_last_10())(features)
    np.testing.assert_allclose(vectors[2:], truth[2:], atol=0.01)
    assert not vectors[:2].any()  # nothing is known of them


def test_a_long_embedding_is_projected_while_the_map_is_learnt(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(content_map, "MAX_DIMENSIONS", 30)
    rng = np.random.default_rng(0)
    audio = np.repeat(rng.standard_normal((N, 2)), 40, axis=1).astype(np.float32)
    features = make_features(embeddings={"audio": Embedding(np.arange(N), audio)})
    mapping = learn(features, audio[:, [0, 40]], all_but_last_10())
    assert mapping.dense_weights.shape == (1 + 10 + 81, 2)
    np.testing.assert_allclose(mapping(features), audio[:, [0, 40]], atol=0.05)


def test_artist_and_album_explain_what_is_left_and_are_shrunk_by_their_listeners() -> None:
    artist, album = np.arange(N) % 4, np.arange(N) % 8
    effect = np.array([1.0, -1.0, 2.0, -2.0])[artist] + np.array([0.5, 0, 0, 0, -0.5, 0, 0, 0])[album]
    columns = {f"artist:{i}": artist == i for i in range(4)} | {f"album:{i}": album == i for i in range(8)}
    features = make_features(columns)
    played = np.where(artist == 3, 0, 1)
    vectors = learn(features, effect[:, None], played)(features)
    np.testing.assert_allclose(vectors[artist < 3, 0], effect[artist < 3], atol=0.01)
    assert not vectors[artist == 3].any()  # a new artist, and nothing else is known of the tracks
    shrunk = learn(features, effect[:, None], played, MapParameters(1e-4, 1e6, 1e6))(features)
    assert shrunk[artist < 3].std() < 1e-3


def test_popular_tracks_count_more() -> None:
    features = make_features({f"tag:{i}": np.arange(N) % 2 == i for i in (0, 1)})
    truth = np.where(np.arange(N) < 30, 1.0, 3.0)[:, None]
    popularity = np.where(np.arange(N) < 30, 1, 100)
    assert learn(features, truth, np.ones(N))(features)[0, 0] == pytest.approx(2, abs=0.05)
    assert learn(features, truth, popularity)(features)[0, 0] == pytest.approx((1 + 3 * 10) / 11, abs=0.05)


def test_rare_columns_are_left_out_and_only_the_most_frequent_are_used(monkeypatch: pytest.MonkeyPatch) -> None:
    columns = {f"tag:{i}": np.arange(N) < size for i, size in enumerate((2, 30, 20, 10))}
    assert learn(make_features(columns), np.ones((N, 1))).scales.columns == ("tag:1", "tag:2", "tag:3")
    monkeypatch.setattr(content_map, "MAX_COLUMNS", 2)
    assert learn(make_features(columns), np.ones((N, 1))).scales.columns == ("tag:1", "tag:2")


def test_columns_are_found_by_name_in_features_of_other_tracks() -> None:
    tag = np.arange(N) % 2
    columns = {"tag:7": tag == 0, "tag:8": tag == 1}
    mapping = learn(make_features(columns), np.array([[1.0], [5.0]])[tag])
    reordered = make_features({"tag:99": np.ones(N), "tag:8": tag == 1, "tag:7": tag == 0})
    np.testing.assert_allclose(mapping(reordered), np.array([[1.0], [5.0]])[tag], atol=1e-3)
    assert not mapping(make_features({"tag:99": np.ones(N)})).any()


@pytest.mark.parametrize("popularity", [np.zeros(N), np.append([1], np.zeros(N - 1))])
def test_without_played_tracks_or_without_any_content_vectors_are_zeros(popularity: Any) -> None:
    assert not learn(make_features({"tag:1": np.ones(N)}), np.ones((N, 2)), popularity)(make_features()).any()
    assert not learn(make_features(), np.ones((N, 2)), popularity)(make_features()).any()


def test_an_embedding_that_was_replaced_by_a_longer_one_says_nothing() -> None:
    rng = np.random.default_rng(0)
    short = make_features(embeddings={"audio": Embedding(np.arange(N), rng.standard_normal((N, 4)).astype(np.float32))})
    long = make_features(embeddings={"audio": Embedding(np.arange(N), np.ones((N, 5), np.float32))})
    assert not learn(short, np.ones((N, 2)))(long).any()


def test_the_same_input_gives_the_same_map() -> None:
    rng = np.random.default_rng(1)
    features = make_features({f"tag:{i}": rng.random(N) < 0.3 for i in range(9)})
    factors = rng.standard_normal((N, 4))
    np.testing.assert_array_equal(learn(features, factors)(features), learn(features, factors)(features))


@pytest.mark.parametrize("value", [0, -1, np.nan, np.inf])
def test_parameters_must_be_above_0(value: float) -> None:
    with pytest.raises(ValueError, match="ridge: must be a number above 0"):
        MapParameters(ridge=value)
