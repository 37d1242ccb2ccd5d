import numpy as np
import pytest

from engine.data.plays import Plays
from engine.data.user_item_pairs import UserItemPairs
from engine.ensemble import ComponentConfig
from engine.models.ials import IALS
from engine.tuning.space import build_component, find_point, perturb_point, search_shares, search_space
from tests.engine.taste_groups import taste_group_split

PAIRS, _, _ = taste_group_split()


@pytest.mark.parametrize("family", search_shares())
def test_every_point_of_a_space_gives_a_component_that_leads_back_to_it(family: str) -> None:
    space, rng = search_space(family, PAIRS), np.random.default_rng(3)
    point = find_point(build_component(family, {}), space)
    assert point is not None
    for _ in range(50 if space else 0):
        point = perturb_point(point, space, rng)
        assert find_point(build_component(family, point), space) == point


def test_confidence_weights_and_recency_are_searched_only_where_pairs_differ() -> None:
    assert {"confidence.transform", "confidence.bonus", "confidence.half_life"} <= set(search_space("ials", PAIRS))
    n = len(PAIRS)
    single_plays = Plays(
        user=PAIRS.user,
        track=PAIRS.track,
        count=np.ones(n, np.float32),
        qualified=np.ones(n, bool),
        time=np.zeros(n, int),
        signal=np.zeros(n, np.int8),
    )
    assert "recency" in search_space("rp3beta", PAIRS)
    assert "recency" not in search_space("rp3beta", UserItemPairs.merge(PAIRS.user, PAIRS.track, single_plays))
    space = search_space("ials", UserItemPairs.merge(PAIRS.user, PAIRS.track, single_plays))
    assert [name for name in space if name.startswith("confidence")] == ["confidence.rare"]


def test_a_component_with_a_hyperparameter_that_is_not_searched_has_no_point() -> None:
    space = search_space("ials", PAIRS)
    old = ComponentConfig(IALS(regularization=0.01, unobserved=0.1))
    assert find_point(ComponentConfig(IALS()), space) is not None
    assert find_point(old, space) is None
