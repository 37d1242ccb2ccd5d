import numpy as np
import pytest

from engine.data.plays import Plays
from engine.data.user_item_pairs import UserItemPairs
from engine.ensemble import ComponentConfig, EnsembleConfig
from engine.models.ials import IALS
from engine.tuning import Trial, tune
from engine.tuning.blend_weights import ValidationPool, learn_weights
from engine.tuning.space import nearby, part_at, point_of, search_shares, space_of
from tests.engine.taste_groups import taste_group_split

PAST, FUTURE, SHAPE = taste_group_split()


def test_it_finds_something_far_better_than_popularity_and_tries_every_family() -> None:
    kept: list[Trial] = []
    tuned = tune(PAST, FUTURE, SHAPE, seconds=4, threads=1, on_trial=kept.append)
    assert tuned.trials == tuple(kept)
    assert {t.component.trainer.family for t in kept} == set(search_shares())
    assert tuned.score > 1.5 * tuned.best_of["popularity"]
    assert tuned.score >= max(t.score or 0 for t in kept) - 1e-4


def test_a_search_that_was_interrupted_goes_on() -> None:
    first = tune(PAST, FUTURE, SHAPE, seconds=1, threads=1)
    known = [Trial.from_dict(trial.to_dict()) for trial in first.trials]
    new: list[Trial] = []
    second = tune(PAST, FUTURE, SHAPE, seconds=1, threads=1, previous_trials=known, on_trial=new.append)
    assert second.trials[: len(known)] == tuple(known)
    assert not any(t.component in [k.component for k in known] for t in new)


def test_the_recipe_in_service_is_among_the_first_to_be_tried() -> None:
    mine = ComponentConfig(IALS(factors=32, iterations=7, regularization=0.02))
    tuned = tune(PAST, FUTURE, SHAPE, seconds=0.5, threads=1, initial=EnsembleConfig((mine,)))
    assert mine in [t.component for t in tuned.trials]


def test_nothing_to_choose_on_is_said() -> None:
    none = UserItemPairs.merge(np.zeros(0, int), np.zeros(0, int), Plays.empty())
    with pytest.raises(ValueError, match="import plays first"):
        tune(none, FUTURE, SHAPE, seconds=1)
    with pytest.raises(ValueError, match="nothing to choose on"):
        tune(PAST, PAST, SHAPE, seconds=1)


@pytest.mark.parametrize("family", search_shares())
def test_every_point_of_a_space_is_a_part_and_back(family: str) -> None:
    space, rng = space_of(family, PAST), np.random.default_rng(3)
    point = point_of(part_at(family, {}), space)
    assert point is not None
    for _ in range(50 if space else 0):
        point = nearby(point, space, rng)
        assert point_of(part_at(family, point), space) == point


def test_only_what_differs_between_plays_is_searched() -> None:
    assert {"confidence.transform", "confidence.bonus", "confidence.half_life"} <= set(space_of("ials", PAST))
    n = len(PAST)
    once, never = np.ones(n, np.float32), np.zeros(n, np.int8)
    ones = Plays(PAST.user, PAST.track, once, np.ones(n, bool), np.zeros(n, int), never)
    alike = space_of("ials", UserItemPairs.merge(PAST.user, PAST.track, ones))
    assert [name for name in alike if name.startswith("confidence")] == ["confidence.rare"]


def test_weights_are_those_of_the_better_part_and_by_segment_where_that_pays() -> None:
    """Part 0 knows the answer for listeners with few tracks, part 1 for the others."""
    rng = np.random.default_rng(0)
    listeners, pool = 1200, 40
    tracks = rng.integers(1, 100, listeners)
    relevant = np.zeros((listeners, pool), bool)
    relevant[np.arange(listeners), rng.integers(0, pool, listeners)] = True
    light = tracks < np.median(tracks) + 1
    scores = rng.standard_normal((listeners, pool, 2)).astype(np.float32)
    scores[light, :, 0] += 3 * relevant[light]
    scores[~light, :, 1] += 3 * relevant[~light]
    weights, expected = learn_weights(ValidationPool(scores, relevant, np.ones(listeners, int), tracks), seed=1)
    assert weights.few[0] > 0.8
    assert weights.many[1] > 0.8
    assert expected > 0.75
    same = np.repeat(scores[:, :, :1], 2, axis=2)
    assert learn_weights(ValidationPool(same, relevant, np.ones(listeners, int), tracks), seed=1)[0].boundary == 0
