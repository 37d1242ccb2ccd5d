from typing import Any

import numpy as np
import pytest
import scipy.sparse as sp

from engine.data.content_features import ContentFeatures, Embedding

UNKNOWN = [np.nan] * 5


def make_features(**changes: Any) -> ContentFeatures:
    """Return the features of tracks 3, 5 and 9: tags, artists, and an embedding of the first and the last."""
    fields = {
        "track_ids": np.array([3, 5, 9]),
        "columns": ("tag:1", "tag:2", "artist:7"),
        "sparse": sp.csr_matrix(np.array([[2, 0, 1], [0, 0, 1], [0, 4, 0]], np.float32)),
        "dense": np.array([[120, 0.5, 0.5, 0.5, 0.5], UNKNOWN, [90, *UNKNOWN[1:]]], np.float32),
        "embeddings": {"audio": Embedding(np.array([0, 2]), np.array([[1, 0], [0, 1]], np.float32))},
    }
    return ContentFeatures(**(fields | changes))


def test_features_of_other_tracks_are_those_known_and_nothing_for_the_rest() -> None:
    other = make_features().of_tracks(np.array([4, 5, 9, 10]))
    assert other.track_ids.tolist() == [4, 5, 9, 10]
    assert other.sparse.toarray().tolist() == [[0, 0, 0], [0, 0, 1], [0, 4, 0], [0, 0, 0]]
    np.testing.assert_array_equal(other.dense[:, 0], [np.nan, np.nan, 90, np.nan])
    rows, vectors = other.embeddings["audio"]
    assert (rows.tolist(), vectors.tolist()) == ([2], [[0, 1]])


def test_features_of_no_tracks_and_of_unknown_tracks_are_empty() -> None:
    assert len(make_features().of_tracks(np.zeros(0, np.int64))) == 0
    empty = ContentFeatures.empty([5, 3])
    assert (empty.track_ids.tolist(), empty.sparse.shape, bool(np.isnan(empty.dense).all())) == ([3, 5], (2, 0), True)
    assert len(empty.of_tracks(np.array([1]))) == 1


def test_the_fingerprint_changes_with_every_part() -> None:
    changes: list[dict[str, Any]] = [
        {},
        {"track_ids": np.array([3, 5, 8])},
        {"columns": ("tag:1", "tag:3", "artist:7")},
        {"sparse": make_features().sparse * np.float32(2)},
        {"dense": np.full((3, 5), np.nan, np.float32)},
        {"embeddings": {}},
        {"embeddings": {"audio": Embedding(np.array([0, 1]), np.eye(2, dtype=np.float32))}},
    ]
    assert len({make_features(**change).fingerprint() for change in changes}) == len(changes)
    assert make_features().fingerprint() == make_features().fingerprint()


@pytest.mark.parametrize(
    ("changes", "field"),
    [
        ({"track_ids": np.array([3, 3, 9])}, "track_ids"),
        ({"columns": ("tag:1", "tag:1", "artist:7")}, "sparse"),
        ({"columns": ("tag:1", "tag", "artist:7")}, "columns"),
        ({"sparse": sp.csr_matrix((2, 3), dtype=np.float32)}, "sparse"),
        ({"sparse": sp.csr_matrix(np.full((3, 3), np.nan, np.float32))}, "sparse"),
        ({"sparse": sp.csr_matrix(np.full((3, 3), -1, np.float32))}, "sparse"),
        ({"dense": np.zeros((3, 4), np.float32)}, "dense"),
        ({"dense": np.full((3, 5), np.inf, np.float32)}, "dense"),
        ({"embeddings": {"audio": Embedding(np.array([0]), np.zeros((2, 2), np.float32))}}, "embeddings"),
        ({"embeddings": {"audio": Embedding(np.array([3]), np.zeros((1, 2), np.float32))}}, "embeddings"),
        ({"embeddings": {"audio": Embedding(np.array([0]), np.full((1, 2), np.nan, np.float32))}}, "embeddings"),
    ],
)
def test_arrays_that_do_not_fit_are_refused_by_the_name_of_the_field(changes: dict[str, Any], field: str) -> None:
    with pytest.raises(ValueError, match=f"^{field}: "):
        make_features(**changes)
