from dataclasses import replace
from functools import cache

import numpy as np
import pytest

from engine.bundle.model_bundle import ModelBundle, Neighbours, assemble_bundle, catalogue_bundle
from engine.data.confidence import ConfidenceWeights
from engine.data.id_map import IdMap
from engine.data.plays import Plays, Signal
from engine.data.track_features import UNKNOWN_ID
from engine.data.user_item_pairs import UserItemPairs
from engine.ensemble import BlendWeights, ComponentConfig, EarlyWeights, EnsembleConfig
from engine.models.base import FittedModel, FoldInConfig, Trainer
from engine.models.ials import IALS
from engine.models.popularity import Popularity
from engine.models.repeat import Repeat
from engine.models.rp3beta import RP3Beta
from engine.models.svd import SVD
from engine.pipeline import EARLY, NO_CAPS, PERSONAL, Policy, recommend
from engine.ranking.explain import (
    Contributions,
    explain_by_history,
    explain_scores,
    factor_contributions,
    vote_contributions,
)
from engine.retrieval.candidates import Query
from engine.retrieval.fold_in import fold_in
from engine.retrieval.neighbours import neighbours
from engine.retrieval.personal import listener_vector
from engine.training import TrainingConfig, train
from tests.engine.content_world import is_new, tag_features, tag_plays, track_ids, track_tags
from tests.engine.factories import listener_history, make_config, train_checkerboard
from tests.engine.retrieval.test_fold_in import ITEMS, LISTENERS
from tests.engine.taste_groups import N_TRACKS, taste_group_plays

DAY = 86_400
PLAYS = Plays.from_rows(
    (0, track, 1 + track % 7, track % 2 == 0, 90 * DAY + track * 3_600) for track in (3, 8, 13, 14, 19, 40, 77, 999)
)
SIGNALS = np.array([Signal.PLAY] * 3 + [Signal.DISLIKE, Signal.SKIP, Signal.LIKE] + [Signal.PLAY] * 2, np.int8)
HISTORY = UserItemPairs.from_listener(PLAYS)
WITH_DISLIKES = UserItemPairs.from_listener(replace(PLAYS, signal=SIGNALS))
HISTORY_OF_EVEN_TRACKS = UserItemPairs.from_listener(
    Plays.from_rows((0, track, 1, track < 104, 90 * DAY) for track in (100, 102, 104, 106))
)
FACTORS = ComponentConfig(IALS(factors=8, iterations=4), ConfidenceWeights(transform="log"), damping=0.2)
VOTES = ComponentConfig(RP3Beta(), ConfidenceWeights(bonus=0.0), damping=-0.1, recency=0.4)
PROJECTED = ComponentConfig(SVD(factors=6), damping=0.3)
OWN_TRACKS = ComponentConfig(Repeat(), Repeat.default_confidence)


@cache
def train_on_tastes(*components: ComponentConfig, weights: BlendWeights | None = None) -> ModelBundle:
    ensemble = EnsembleConfig(components, weights or BlendWeights.equal(len(components)))
    return train(taste_group_plays(), np.arange(N_TRACKS), TrainingConfig(ensemble, threads=1), version="v1").bundle


@pytest.fixture(
    scope="module",
    params=[
        (FACTORS,),
        (PROJECTED,),
        (VOTES,),
        (FACTORS, VOTES),
        (PROJECTED, OWN_TRACKS, ComponentConfig(Popularity())),
        (FACTORS, VOTES, ComponentConfig(Popularity()), OWN_TRACKS),
    ],
    ids=lambda components: "+".join(component.trainer.family for component in components),
)
def bundle(request: pytest.FixtureRequest) -> ModelBundle:
    k = len(request.param)
    weights = BlendWeights(tuple(0.1 * (i + 1) for i in range(k)), tuple(0.3 / (i + 1) for i in range(k)), boundary=5)
    return train_on_tastes(*request.param, weights=weights)


@pytest.mark.parametrize("policy", [PERSONAL, EARLY], ids=["personal", "early"])
@pytest.mark.parametrize("history", [HISTORY, WITH_DISLIKES], ids=["plays", "dislikes"])
def test_what_the_history_popularity_and_the_constant_contribute_adds_up_to_the_score(
    bundle: ModelBundle, policy: Policy, history: UserItemPairs
) -> None:
    query = Query(limit=30, history=history, exclude=history.track[-2:], early_weights=EarlyWeights(0.4, 0.6))
    ranking = recommend(bundle, query, policy)
    picks = [pick for pick in ranking.picks if pick.source == policy.name]
    rows, _ = bundle.items.rows(np.array([pick.track_id for pick in picks]))
    contributions = explain_scores(bundle, query, policy.name, rows)
    by_blend = explain_scores(bundle, query, policy.name, rows, ranking.blends[policy.name])
    assert contributions is not None
    assert by_blend is not None
    assert (by_blend.history == contributions.history).all()
    assert (by_blend.scores == contributions.scores).all()
    assert len(picks) >= 10
    assert contributions.history.shape == (len(picks), np.count_nonzero(history.track < N_TRACKS))
    np.testing.assert_allclose(contributions.scores, [pick.score for pick in picks], rtol=1e-4, atol=2e-5)


@pytest.mark.parametrize("history", [HISTORY, WITH_DISLIKES], ids=["plays", "dislikes"])
def test_tracks_contribute_to_tracks_of_their_artist_for_a_listener_with_a_short_history(
    bundle: ModelBundle, history: UserItemPairs
) -> None:
    artist = np.where(np.arange(N_TRACKS) % 3 == 0, -1, np.arange(N_TRACKS) // 5)
    popularity = bundle.popularity.copy()
    popularity[[8, 13]] = 0  # nobody else has played them: their artist is all that is known
    with_artists = replace(bundle, features=replace(bundle.features, artist=artist), popularity=popularity)
    query = Query(limit=30, history=history, exclude=history.track, early_weights=EarlyWeights(0.4, 0.6, 2.0))
    picks = [
        pick for pick in recommend(with_artists, query, replace(EARLY, caps=NO_CAPS)).picks if pick.source == "early"
    ]
    rows = np.array([pick.track_id for pick in picks])
    contributions = explain_scores(with_artists, query, "early", rows)
    assert contributions is not None
    np.testing.assert_allclose(contributions.scores, [pick.score for pick in picks], rtol=1e-4, atol=2e-5)
    column = contributions.pairs.track.tolist().index(8)
    by_artist = 2.0 / np.count_nonzero(history.is_positive)
    assert contributions.history[rows == 7, column].tolist() == [pytest.approx(by_artist)]


def test_the_votes_of_neighbours_alone_add_up_to_their_score() -> None:
    bundle = train_on_tastes(FACTORS, VOTES)
    query = Query(limit=15, history=HISTORY)
    with bundle.workspaces.borrow() as workspace:
        rows, scores = neighbours(bundle, query, workspace, 15)
    contributions = explain_scores(bundle, query, "neighbours", rows)
    assert contributions is not None
    np.testing.assert_allclose(contributions.history.sum(axis=1), scores, rtol=1e-6)
    assert (contributions.popularity == 0).all()
    np.testing.assert_allclose(contributions.shares().sum(axis=1), 1)


FOLD_INS = [
    FoldInConfig(),
    FoldInConfig(regularization=2.0, unobserved=0.1, offset=0.0),
    FoldInConfig(unobserved=0.3, offset=0.0, exponent=0.5, activity=-0.7, mean_pairs=11.5, mean_confidence=2.0),
    FoldInConfig(regularization=0.0, unobserved=0.0, offset=1.0),  # not positive definite with confidences below 1
    FoldInConfig("project", mean_confidence=3.0),
]


@pytest.mark.parametrize("config", FOLD_INS)
@pytest.mark.parametrize("damping", [0.0, 0.4])
@pytest.mark.parametrize("confidences", [[4, 0.5, 2, 4], [4, -2, 2, -0.5]], ids=["plays", "dislikes"])
def test_each_track_contributes_what_it_alone_adds_to_the_scores_of_the_same_fold_in(
    config: FoldInConfig, damping: float, confidences: list[float]
) -> None:
    """The reference: the normal equations over all tracks, solved for the target of one track at a time."""
    tracks, c = np.array([1, 4, 5, 8]), np.array(confidences)
    bundle = assemble_bundle(
        version="v1",
        items=IdMap.from_ids(np.arange(9)),
        popularity=LISTENERS,
        ensemble=EnsembleConfig((ComponentConfig(confidence=ConfidenceWeights(), damping=damping),)),
        fitted_models=[FittedModel((np.zeros((0, 3), np.float32), ITEMS), config)],
    )
    y, damped = ITEMS.astype(float), ITEMS * (LISTENERS**-damping)[:, None]
    scaled = c * config.confidence_scale(np.count_nonzero(c > 0))
    weight, expected = np.full(9, config.unobserved), np.zeros((9, 4))
    weight[tracks] += np.where(scaled > 0, scaled - config.offset, -scaled)
    a = y.T @ np.diag(weight) @ y + config.ridge(np.count_nonzero(c > 0), 9) * np.eye(3)
    for j, track in enumerate(tracks):
        solved = np.linalg.pinv(a) @ y[track] * max(scaled[j], 0)
        expected[:, j] = damped @ (y[track] * scaled[j] if config.kind == "project" else solved)
    found = factor_contributions(bundle, tracks, c.astype(np.float32), bundle.item_factors)
    np.testing.assert_allclose(found, expected, rtol=1e-5, atol=1e-6)
    vector = fold_in(bundle, tracks, c.astype(np.float32))
    np.testing.assert_allclose(found.sum(axis=1), bundle.item_factors @ vector, rtol=1e-4, atol=1e-5)


def test_a_track_that_came_after_training_has_no_votes() -> None:
    lists = train_on_tastes(VOTES).neighbours[0]
    assert lists is not None
    weights, rows = np.ones(2, np.float32), np.arange(N_TRACKS)
    votes = vote_contributions(lists, np.array([3, N_TRACKS + 5]), weights, rows)
    assert votes[:, 0].tolist() == [pytest.approx(w) for w in dense_row(lists, 3)]
    assert not votes[:, 1].any()


def dense_row(lists: Neighbours, track: int) -> list[float]:
    voted, weights = lists.row(track)
    dense = np.zeros(N_TRACKS)
    dense[voted] = weights
    return dense.tolist()


def test_shares_are_parts_of_what_speaks_for_a_pick() -> None:
    contributions = Contributions(
        HISTORY.where(slice(3)),
        np.array([[3.0, -9, 1], [0, 0, 0], [0, 0, 2], [-1, 0, 0]]),
        np.array([4.0, 1, -1, 0]),
        7.0,
    )
    assert contributions.shares().tolist() == [[0.375, 0, 0.125], [0, 0, 0], [0, 0, 1], [0, 0, 0]]
    assert contributions.scores.tolist() == [6, 8, 8, 6]


def test_the_tracks_that_contribute_most_are_named_but_no_disliked_one_and_never_the_pick() -> None:
    bundle = train_on_tastes(FACTORS, OWN_TRACKS)
    query = Query(limit=5, history=WITH_DISLIKES)
    reasons = explain_by_history(bundle, query, "personal", [28, 3, 999], k=3)
    contributions = explain_scores(bundle, query, "personal", np.array([28, 3]))
    assert contributions is not None
    assert list(reasons) == [28, 3]
    for i, (track_id, reason) in enumerate(reasons.items()):
        shares = dict(zip(contributions.pairs.track.tolist(), contributions.shares()[i].tolist(), strict=True))
        assert reason.share == pytest.approx(sum(shares.values())) == pytest.approx(1)
        best = sorted({3, 8, 13, 40, 77} - {track_id}, key=lambda track: -shares[track])
        assert reason.because == [(track, pytest.approx(shares[track])) for track in best[:3] if shares[track] > 0]


@pytest.mark.parametrize("trainers", [(IALS(factors=4, iterations=6),), (RP3Beta(),)], ids=["factors", "neighbours"])
def test_a_track_that_nobody_played_is_explained_by_the_played_tracks_that_its_vector_is_near_to(
    trainers: tuple[Trainer, ...],
) -> None:
    bundle = train(tag_plays(), track_ids(), make_config(*trainers), version="v1", content=tag_features()).bundle
    own, other = (track_ids()[(track_tags() == tag) & ~is_new()][:3] for tag in (1, 2))
    new = int(track_ids()[(track_tags() == 1) & is_new()][0])
    query = Query(limit=5, history=listener_history(np.sort(np.append(own, other))))
    reason = explain_by_history(bundle, query, "content", [new], k=3)[new]
    assert {track_id for track_id, _ in reason.because} == set(own.tolist())
    assert reason.share == pytest.approx(1)
    contributions = explain_scores(bundle, query, "content", bundle.items.known_rows(np.array([new])))
    assert contributions is not None
    pairs = bundle.pairs_with_vectors(query.history)
    with bundle.workspaces.borrow() as workspace:
        vector = listener_vector(bundle, query, pairs, workspace)
    product = bundle.vectors(bundle.items.known_rows(np.array([new]))) @ vector
    np.testing.assert_allclose(contributions.scores, product, rtol=1e-4)
    assert explain_by_history(bundle, query, "personal", [new]) == {}


def test_an_artist_is_named_whom_the_listener_plays_often_and_who_has_made_all_named_tracks() -> None:
    bundle = train_checkerboard().bundle
    query = Query(limit=5, history=HISTORY_OF_EVEN_TRACKS)

    def is_artist(artists: dict[int, int]) -> bool:
        artist = np.array([artists.get(track_id, UNKNOWN_ID) for track_id in range(100, 120)])
        known = replace(bundle, features=replace(bundle.features, artist=artist))
        reason = explain_by_history(known, query, "personal", [112])[112]
        assert sorted(track_id for track_id, _ in reason.because) == [100, 102]  # the most played
        return reason.is_artist

    assert is_artist({100: 7, 102: 7, 104: 7, 106: 8})
    assert not is_artist({100: 7, 102: 7, 104: 8, 106: 8}), "two tracks are not often"
    assert not is_artist({100: 7, 102: 8, 104: 7, 106: 7})
    assert not is_artist({}), "tracks of unknown artists do not have the same one"


def test_an_up_to_date_listener_is_explained_by_a_fold_in_of_the_same_plays() -> None:
    bundle = train_checkerboard().bundle
    history = listener_history(np.arange(100, 118, 2))
    stored, folded_in = Query(limit=5, user_row=bundle.users.row(118), history=history), Query(limit=5, history=history)
    scores = [explain_scores(bundle, query, "personal", np.array([18, 1])) for query in (stored, folded_in)]
    assert scores[0] is not None
    assert scores[1] is not None
    assert (scores[0].history == scores[1].history).all()
    vector = bundle.user_factors[stored.user_row or 0]
    np.testing.assert_allclose(scores[0].scores, bundle.item_factors[[18, 1]] @ vector, atol=0.05)


@pytest.mark.parametrize("source", ["personal", "early", "neighbours"])
def test_without_a_history_that_the_version_knows_there_is_nothing_to_explain(source: str) -> None:
    for bundle in (catalogue_bundle([1, 2], {1: 3}), train_checkerboard().bundle):
        query = Query(limit=5, history=listener_history([999], disliked=[101]), early_weights=EarlyWeights(0.4, 0.6))
        assert explain_scores(bundle, query, source, np.array([0, 1])) is None
