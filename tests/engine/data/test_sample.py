import numpy as np

from engine.data.plays import Plays
from engine.data.sample import sample_listeners
from tests.engine.taste_groups import taste_group_plays

PLAYS = taste_group_plays()


def test_a_sample_has_all_plays_of_some_listeners() -> None:
    sample = sample_listeners(PLAYS, 1000, seed=1)
    assert 900 < len(set(zip(sample.user, sample.track, strict=True))) <= 1000
    assert len(sample) == np.isin(PLAYS.user, sample.user).sum()
    assert sample_listeners(PLAYS, 1000, seed=1).fingerprint() == sample.fingerprint()


def test_plays_with_few_enough_pairs_are_not_reduced() -> None:
    assert sample_listeners(PLAYS, len(PLAYS), seed=1) is PLAYS
    repeated = Plays.concatenate([PLAYS, PLAYS])  # twice the plays but the same pairs
    assert len(sample_listeners(repeated, len(PLAYS), seed=1)) == len(repeated)
