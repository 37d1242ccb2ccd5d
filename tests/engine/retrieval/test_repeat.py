"""The source `repeat` and the policy `repeats`: tracks that the listener has played, to be recommended again."""

import numpy as np
import pytest

from engine.bundle.model_bundle import ModelBundle, catalogue_bundle
from engine.data.confidence import HOUR_SECONDS
from engine.data.plays import Plays, Signal
from engine.data.user_item_pairs import UserItemPairs
from engine.ensemble import ComponentConfig, EnsembleConfig
from engine.listener_query import ListenerState, plan_query
from engine.models.item_knn import ItemKNN
from engine.models.repeat import Repeat
from engine.pipeline import PERSONAL, REPEATS, SIMILAR, recommend
from engine.ranking.explain import HistoryReason, explain_by_history
from engine.retrieval.candidates import Query
from engine.training import TrainingConfig, train
from tests.engine.factories import ONLY_NEW, checkerboard, train_checkerboard

OWN_TRACKS = ComponentConfig(Repeat(), Repeat.default_confidence)


def history(*rows: tuple[int, int, Signal]) -> UserItemPairs:
    """Return the history of one listener from (track, age in hours, signal)."""
    track, age, signal = (np.array(column) for column in zip(*rows, strict=True))
    k = len(track)
    ones = np.ones(k, np.float32)
    plays = Plays(np.zeros(k, int), track, ones, ones > 0, -HOUR_SECONDS * age, signal.astype(np.int8))
    return UserItemPairs.from_listener(plays)


HISTORY = history(
    (104, 900, Signal.PLAY),
    (104, 800, Signal.PLAY),
    (102, 70, Signal.PLAY),
    (102, 60, Signal.PLAY),
    (102, 50, Signal.PLAY),
    (106, 0, Signal.PLAY),
    (108, 1, Signal.PLAY),
    (108, 0, Signal.DISLIKE),
    (110, 3, Signal.SKIP),
    (999, 1, Signal.PLAY),
)
BY_ACTIVATION = [106, 102, 104]


def make_bundle(*components: ComponentConfig) -> ModelBundle:
    config = TrainingConfig(EnsembleConfig(components), threads=1)
    return train(checkerboard(), np.arange(100, 120), config, version="v1").bundle


def picks(bundle: ModelBundle, query: Query) -> list[tuple[int, str]]:
    return [(pick.track_id, pick.source) for pick in recommend(bundle, query, REPEATS).picks]


@pytest.mark.parametrize("bundle", [train_checkerboard().bundle, make_bundle(OWN_TRACKS)])
def test_own_tracks_come_in_the_order_of_their_activation(bundle: ModelBundle) -> None:
    """Neither disliked nor skipped tracks are among them, nor those that the version does not know."""
    assert picks(bundle, Query(limit=9, history=HISTORY)) == [(track, "repeat") for track in BY_ACTIVATION]
    assert picks(bundle, Query(limit=2, history=HISTORY)) == [(track, "repeat") for track in BY_ACTIVATION[:2]]


def test_a_version_that_was_tuned_for_repeats_ranks_them_by_its_blend() -> None:
    bundle = make_bundle(ComponentConfig(ItemKNN()), OWN_TRACKS)
    query = Query(limit=20, history=HISTORY)
    own_tracks = set(BY_ACTIVATION)
    blend = [(p.track_id, p.score) for p in recommend(bundle, query, PERSONAL).picks if p.track_id in own_tracks]
    assert [(p.track_id, p.score) for p in recommend(bundle, query, REPEATS).picks] == blend
    assert len(blend) == 3


def test_it_respects_exclusions_and_never_offers_them_after_all() -> None:
    bundle = make_bundle(OWN_TRACKS)
    query = Query(
        limit=9,
        history=HISTORY,
        exclude=np.array([106]),
        forbidden=np.array([102]),
        unavailable=np.array([100]),
    )
    assert picks(bundle, query) == [(104, "repeat")]
    assert picks(bundle, Query(limit=9, history=HISTORY, exclude=np.array(BY_ACTIVATION))) == []


def test_the_policy_offers_known_tracks_although_the_request_leaves_them_out() -> None:
    bundle = make_bundle(OWN_TRACKS)
    listener = ListenerState(7, HISTORY, interactions=10)
    query, policy = plan_query(bundle, listener, REPEATS, limit=10, exclude_played=True)
    assert policy is REPEATS
    assert [pick.track_id for pick in recommend(bundle, query, policy).picks] == BY_ACTIVATION
    assert 106 in plan_query(bundle, listener, PERSONAL, limit=10, exclude_played=True)[0].exclude


@pytest.mark.parametrize("bundle", [make_bundle(OWN_TRACKS), catalogue_bundle([]), catalogue_bundle([102], {102: 1})])
def test_a_listener_without_plays_has_nothing_to_repeat(bundle: ModelBundle) -> None:
    for past in (UserItemPairs.empty(), history((102, 1, Signal.DISLIKE)), history((999, 1, Signal.PLAY))):
        assert picks(bundle, Query(limit=9, history=past)) == []


def test_lists_of_new_tracks_are_filled_by_popularity_where_only_own_tracks_have_scores() -> None:
    bundle = make_bundle(OWN_TRACKS)
    ranking = recommend(bundle, Query(limit=5, history=HISTORY, exclude=HISTORY.track), ONLY_NEW)
    assert [pick.source for pick in ranking.picks] == ["popular"] * 5


def test_a_track_is_no_evidence_for_itself() -> None:
    """A component of own tracks comes first, but neighbours and explanations are those of the other one."""
    bundle = make_bundle(OWN_TRACKS, ComponentConfig(ItemKNN()))
    similar = recommend(bundle, Query(5, track_id=104, exclude=np.array([104])), SIMILAR).picks
    assert {pick.track_id % 2 for pick in similar} == {0}
    assert len(similar) == 5
    because = explain_by_history(bundle, Query(5, history=HISTORY), "personal", [106])[106].because
    assert {track_id for track_id, _ in because} == {102, 104}
    alone = explain_by_history(make_bundle(OWN_TRACKS), Query(5, history=HISTORY), "personal", [106])[106]
    assert alone == HistoryReason([], 1.0, is_artist=False)
    assert recommend(make_bundle(OWN_TRACKS), Query(5, track_id=104), SIMILAR).picks == []
