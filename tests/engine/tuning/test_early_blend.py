"""The blend for listeners with a short history follows what predicts the later plays of hidden listeners."""

from dataclasses import replace

import numpy as np
import pytest

from engine.data.id_map import IdMap
from engine.data.plays import Plays
from engine.data.track_features import TrackFeatures
from engine.ensemble import NOT_LEARNT, PERSONAL_ONLY, ComponentConfig, EarlyBlend, EarlyWeights, EnsembleConfig
from engine.listener_query import ListenerState, plan_query
from engine.models.item_knn import ItemKNN
from engine.pipeline import recommend
from engine.training import TrainingConfig, train
from engine.tuning.early_blend import BELOW, COUNTS, MIN_LISTENERS, learn_early_blend
from tests.engine.factories import listener_history

LISTENERS, TRACKS, TASTES = 260, 120, 4
ITEMS = IdMap.from_ids(range(TRACKS))
KNN = EnsembleConfig((ComponentConfig(ItemKNN()),))


def plays_by_taste(*, by_popularity: bool) -> Plays:
    """Return twelve plays of each listener: of the tracks of their taste only, or of popular tracks of any taste."""
    rng, rows = np.random.default_rng(3), []
    popular = 1 / np.arange(1, TRACKS + 1) ** 1.5
    for listener in range(LISTENERS):
        taste = np.arange(TRACKS) % TASTES == listener % TASTES
        probability = popular if by_popularity else taste.astype(float)
        tracks = rng.choice(TRACKS, 12, p=probability / probability.sum(), replace=False)
        rows += [(listener, track, 1, True, 1_000 + number) for number, track in enumerate(tracks)]
    return Plays.from_rows(rows)


def test_personal_scores_count_where_tastes_differ_and_popularity_where_all_play_the_same() -> None:
    tastes = learn_early_blend(plays_by_taste(by_popularity=False), ITEMS, KNN, seed=1)
    the_same = learn_early_blend(plays_by_taste(by_popularity=True), ITEMS, KNN, seed=1)
    assert tastes.counts == the_same.counts == COUNTS
    assert tastes.below == the_same.below == BELOW
    assert min(weights.personal for weights in tastes.weights) > 0.3
    assert max(weights.personal for weights in the_same.weights[:2]) < 0.3
    assert all(weights.personal + weights.popularity == pytest.approx(1) for weights in tastes.weights)
    assert {weights.artists for weights in tastes.weights} == {0.0}  # no artist is known


def test_artists_count_where_listeners_go_on_with_the_artist_of_their_first_plays() -> None:
    """Each listener plays an artist whom hardly anybody else plays, so that neighbours know nothing."""
    rng = np.random.default_rng(4)
    artist = np.arange(3_000) // 12
    rows = [
        (listener, track, 1, True, 1_000 + number)
        for listener in range(LISTENERS)
        for number, track in enumerate(rng.permutation(12)[:8] + 12 * rng.integers(250))
    ]
    items = IdMap.from_ids(range(3_000))
    features = replace(TrackFeatures.unknown(items.ids), artist=artist)
    blend = learn_early_blend(Plays.from_rows(rows), items, KNN, features=features, seed=1)
    assert min(weights.artists for weights in blend.weights) > 0


def test_with_too_few_listeners_popularity_gives_way_in_proportion_to_the_plays() -> None:
    plays = plays_by_taste(by_popularity=False)
    few = plays.where(plays.user < 4 * MIN_LISTENERS)
    assert learn_early_blend(few, ITEMS, KNN, seed=1) == NOT_LEARNT
    weights = [NOT_LEARNT.for_listener(interactions, 5) for interactions in (1, 2, 4, 5)]
    expected = [(0.2, 0.8, 0), (0.4, 0.6, 0), (0.8, 0.2, 0), (1, 0, 0)]
    np.testing.assert_allclose(np.array(weights), expected)


def test_a_listener_gets_the_weights_of_the_greatest_learnt_count_up_to_their_interactions() -> None:
    blend = EarlyBlend((1, 3), (EarlyWeights(0.1, 0.9), EarlyWeights(0.5, 0.5, 3.0)), 10)
    assert [blend.for_listener(n, 5).personal for n in (1, 2, 3, 9)] == [0.1, 0.1, 0.5, 0.5]
    assert EarlyBlend.from_dict(blend.to_dict()) == blend
    with pytest.raises(ValueError, match="1 weights for 2 counts"):
        EarlyBlend.from_dict({"counts": [1, 2], "weights": [[0, 1, 0]], "below": 5})


def test_a_version_serves_listeners_by_the_blend_that_it_has_learnt() -> None:
    trained = train(
        plays_by_taste(by_popularity=False), ITEMS.ids, TrainingConfig(KNN, threads=1, split="ratio"), version="v1"
    )
    blend = trained.bundle.early
    assert trained.manifest["early"] == blend.to_dict()
    assert blend.below == BELOW
    for interactions, name in ((4, "early"), (9, "early"), (10, "personal")):
        history = listener_history(np.arange(interactions) * TASTES)
        listener = ListenerState(999, history, interactions, 0)
        query, policy = plan_query(trained.bundle, listener, limit=5)
        assert policy.name == name
        weights = blend.for_listener(interactions, 5) if name == "early" else PERSONAL_ONLY
        assert query.early_weights == weights
        picks = recommend(trained.bundle, query, policy).picks
        assert {pick.track_id % TASTES for pick in picks} == {0}
