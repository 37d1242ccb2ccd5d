import numpy as np
import pytest
from scipy.sparse import csr_matrix

from engine.data.confidence import HOUR_SECONDS, PlayStatistics
from engine.data.id_map import IdMap
from engine.data.plays import Plays, Signal
from engine.data.user_item_pairs import UserItemPairs
from engine.ensemble import BlendWeights, ComponentConfig, EnsembleConfig
from engine.evaluation.questions import ALL, NEW, REPEATS
from engine.fitting import fit_ensemble
from engine.models.base import CannotTrain
from engine.models.item_knn import ItemKNN
from engine.models.repeat import Repeat
from engine.tuning.space import build_component, search_shares
from tests.engine.models.contract import FamilyContract

OWN_TRACKS = ComponentConfig(Repeat(), Repeat.default_confidence)
HEARD = {1: [(10, 1), (11, 2), (12, 400), (12, 500)], 2: [(10, 3), (13, 4), (14, 6)], 3: [(11, 1), (12, 2), (14, 3)]}


class TestRepeat(FamilyContract):
    checkerboard_trainer = Repeat()
    ignores_confidences = True


def heard_pairs() -> tuple[UserItemPairs, IdMap, IdMap]:
    """Return the pairs of HEARD, which has the track and age in hours of the plays of each listener."""
    plays = Plays.from_rows((u, t, 1, True, -HOUR_SECONDS * age) for u, heard in HEARD.items() for t, age in heard)
    users, items = IdMap.from_ids([1, 2, 3]), IdMap.from_ids(range(10, 16))
    return UserItemPairs.from_plays(plays, users, items), users, items


def test_scores_are_the_activations_of_the_listeners_own_tracks_and_others_are_not_offered() -> None:
    pairs, _, _ = heard_pairs()
    fitted = fit_ensemble(pairs, (3, 6), EnsembleConfig((OWN_TRACKS,)), seed=1, threads=1)
    scores = fitted.build_scorer()(np.array([0]))[0]
    # Ages are counted from the newest play, and are at least an hour.
    np.testing.assert_allclose(scores[:3], [1.001, 1.001, 0.001 + 399**-0.4 + 499**-0.4], rtol=1e-6)
    assert np.isneginf(scores[3:]).all()


def test_new_tracks_come_in_the_same_order_with_it_as_without() -> None:
    pairs, _, _ = heard_pairs()
    neighbours = ComponentConfig(ItemKNN())
    scores = [
        fit_ensemble(pairs, (3, 6), ensemble, seed=1, threads=1).build_scorer()(np.arange(3))
        for ensemble in (
            EnsembleConfig((neighbours, OWN_TRACKS), BlendWeights((0.5, 0.5), (0.5, 0.5))),
            EnsembleConfig((neighbours, neighbours), BlendWeights((0.5, 0.5), (0.5, 0.5))),
        )
    ]
    for user, heard in enumerate(HEARD.values()):
        new = [item for item in range(6) if item + 10 not in {track for track, _ in heard}]
        orders = [np.argsort(-of_ensemble[user, new], kind="stable").tolist() for of_ensemble in scores]
        assert orders[0] == orders[1]


def test_a_listener_who_played_nothing_has_nothing_to_repeat() -> None:
    with pytest.raises(CannotTrain, match="repeat: the matrix is empty"):
        Repeat().fit(csr_matrix((3, 4), dtype=np.float32), seed=1)


def test_dislikes_and_skips_have_no_confidence() -> None:
    signals = np.array([Signal.PLAY, Signal.DISLIKE, Signal.SKIP, Signal.LIKE], np.int8)
    plays = Plays(np.zeros(4, int), np.arange(4), np.ones(4, np.float32), np.ones(4, bool), np.zeros(4, int), signals)
    pairs = UserItemPairs.from_listener(plays)
    values = Repeat.default_confidence.compute(pairs, np.ones(4, np.float32), PlayStatistics())
    np.testing.assert_allclose(values, [1.001, 0, 0, 0.001], rtol=1e-6)


def test_a_search_tries_it_only_where_repeats_count() -> None:
    assert ["repeat" in search_shares(question) for question in (NEW, ALL, REPEATS)] == [False, True, True]
    component = build_component("repeat", {"confidence.activation_decay": 0.7})
    assert component.confidence.transform == "activation"
    assert (component.confidence.activation_decay, component.confidence.disliked) == (0.7, 0.0)
    assert build_component("repeat", {}) == OWN_TRACKS
