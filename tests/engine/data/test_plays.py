from engine.data.plays import Plays


def test_equal_plays_have_the_same_fingerprint_and_different_plays_do_not() -> None:
    rows = [(1, 10, 1, True, 0), (2, 11, 3, False, 5)]
    plays, same, different = (Plays.from_rows(r) for r in (rows, rows, [*rows[:1], (2, 11, 4, False, 5)]))
    assert plays.fingerprint() == same.fingerprint() != different.fingerprint()
    parts = [plays.where(plays.user == 1), plays.where(plays.user == 2)]
    assert Plays.concatenate(parts).fingerprint() == plays.fingerprint()
