import numpy as np

from engine.ids import IdMap
from engine.matrix import Confidence, confidence_matrix, pairs
from engine.plays import Plays


def test_confidence_is_the_base_plus_a_bonus_once_any_play_qualified() -> None:
    plays = Plays.from_rows(
        [(1, 10, 1, False, 0), (1, 10, 1, True, 1), (1, 10, 1, False, 2), (1, 20, 1, False, 3), (2, 20, 99, True, 4)]
    )
    matrix = confidence_matrix(plays, IdMap.of([1, 2]), IdMap.of([10, 20, 30]), Confidence(1.0, 3.0))
    assert matrix.toarray().tolist() == [[4.0, 1.0, 0.0], [0.0, 4.0, 0.0]]
    assert matrix.dtype == np.float32


def test_plays_of_unknown_tracks_are_left_out() -> None:
    plays = Plays.from_rows([(1, 10, 1, True, 0), (1, 11, 1, True, 0)])
    assert confidence_matrix(plays, IdMap.of([1]), IdMap.of([10]), Confidence()).toarray().tolist() == [[4.0]]


def test_pairs_agree_with_the_matrix() -> None:
    tracks, qualified = pairs(np.array([7, 3, 7, 3, 9]), np.array([False, False, True, False, False]))
    assert tracks.tolist() == [3, 7, 9]
    assert qualified.tolist() == [False, True, False]


def test_the_same_plays_have_the_same_fingerprint_and_others_another() -> None:
    rows = [(1, 10, 1, True, 0), (2, 11, 3, False, 5)]
    one, same, other = (Plays.from_rows(r) for r in (rows, rows, [*rows[:1], (2, 11, 4, False, 5)]))
    assert one.fingerprint() == same.fingerprint() != other.fingerprint()
    assert Plays.concatenate([one.where(one.user == 1), one.where(one.user == 2)]).fingerprint() == one.fingerprint()
