from contextlib import nullcontext
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from engine.bundle.factor_space import ContentParameters
from engine.bundle.model_bundle import ModelBundle
from engine.bundle.npz import DamagedFile, map_npz, save_npz
from engine.bundle.versions import VersionStore
from engine.data.content_features import ContentFeatures
from engine.ensemble import EarlyWeights
from engine.listener_query import ListenerState, plan_query
from engine.models.base import FoldInConfig
from engine.models.content_map import MapParameters
from engine.models.ials import IALS
from engine.models.popularity import Popularity
from engine.models.rp3beta import RP3Beta
from engine.pipeline import EARLY, PERSONAL, recommend
from engine.retrieval.candidates import SOURCES, Query
from engine.retrieval.content import cold_scores
from engine.retrieval.fold_in import item_fold_in
from engine.retrieval.personal import personal_score_terms
from engine.retrieval.relevance import score_early, score_personal
from engine.training import train
from tests.engine.content_world import TAGS, is_new, tag_features, tag_plays, track_ids, track_tags
from tests.engine.factories import ONLY_NEW, have_same_arrays, listener_history, make_config

FACTORS, VOTES = IALS(factors=4, iterations=6), RP3Beta()


def train_on_tags(*trainers: Any, content: ContentFeatures | None = None) -> ModelBundle:
    return train(
        tag_plays(),
        track_ids(),
        make_config(*trainers),
        version="v1",
        content=tag_features() if content is None else content,
    ).bundle


@pytest.fixture(scope="module", params=["factors", "neighbours", "blend"])
def bundle(request: pytest.FixtureRequest) -> ModelBundle:
    return train_on_tags(*{"factors": [FACTORS], "neighbours": [VOTES], "blend": [FACTORS, VOTES]}[request.param])


@pytest.fixture(scope="module")
def factors_bundle() -> ModelBundle:
    return train_on_tags(FACTORS)


def tracks_of(tag: int, *, new: bool) -> Any:
    return track_ids()[(track_tags() == tag) & (is_new() == new)]


def ask(bundle: ModelBundle, query: Query, source: str = "content", k: int = 12) -> tuple[list[int], Any]:
    with bundle.workspaces.borrow() as workspace:
        rows, scores = SOURCES[source](bundle, query, workspace, k)
    return bundle.items.ids[rows].tolist(), scores


def test_new_tracks_of_the_listeners_tag_come_first(bundle: ModelBundle) -> None:
    for tag in range(TAGS):
        query = Query(limit=10, history=listener_history(tracks_of(tag, new=False)[:4]))
        ids, scores = ask(bundle, query)
        assert set(ids[:3]) == set(tracks_of(tag, new=True))
        assert (np.diff(scores) <= 0).all()


def test_a_new_track_is_scored_like_played_tracks_with_the_same_content(factors_bundle: ModelBundle) -> None:
    query = Query(limit=10, history=listener_history(tracks_of(1, new=False)[:4]))
    with factors_bundle.workspaces.borrow() as workspace:
        terms = personal_score_terms(factors_bundle, query, workspace)
        assert terms is not None
        learnt = terms.scores_of_rows(factors_bundle, factors_bundle.items.known_rows(tracks_of(1, new=False)))
        new = cold_scores(factors_bundle, query, workspace, factors_bundle.items.known_rows(tracks_of(1, new=True)))
    assert new.mean() == pytest.approx(learnt.mean(), rel=0.3)  # less by the ridge


def test_a_listener_who_has_played_only_new_tracks_gets_tracks_of_their_tag(factors_bundle: ModelBundle) -> None:
    query = Query(limit=10, history=listener_history(tracks_of(2, new=True)[:2]))
    assert set(ask(factors_bundle, query, "personal")[0][:9]) == set(tracks_of(2, new=False))
    assert ask(factors_bundle, query)[0][:3] == sorted(tracks_of(2, new=True))


def test_tracks_that_are_not_available_are_left_out(bundle: ModelBundle) -> None:
    left_out = tracks_of(0, new=True)[:2]
    query = Query(limit=10, history=listener_history(tracks_of(0, new=False)[:4]))
    with bundle.workspaces.borrow() as workspace:
        workspace.exclude(bundle.items.known_rows(left_out), 1)
        rows, _ = SOURCES["content"](bundle, query, workspace, 12)
    assert not set(bundle.items.ids[rows]) & set(left_out)


def test_nothing_is_found_without_a_history_without_content_and_without_new_tracks(bundle: ModelBundle) -> None:
    query = Query(limit=10, history=listener_history(tracks_of(0, new=False)[:4]))
    assert ask(bundle, Query(limit=10))[0] == []
    assert ask(replace(bundle, content=None), query)[0] == []
    assert ask(replace(bundle, popularity=np.full(len(bundle.items), 99, np.float32)), query)[0] == []


def test_a_track_of_which_nothing_is_known_is_not_found_and_has_no_vector() -> None:
    unknown = tracks_of(3, new=True)
    known = tag_features().of_tracks(np.setdiff1d(track_ids(), unknown)).of_tracks(track_ids())
    bundle = train_on_tags(FACTORS, content=known)
    ids, _ = ask(bundle, Query(limit=10, history=listener_history(tracks_of(3, new=False)[:4])))
    assert len(ids) == 9
    assert not set(ids) & set(unknown)
    assert not bundle.vectors(bundle.items.known_rows(unknown)).any()


@pytest.mark.parametrize("trainer", [FACTORS, VOTES, Popularity()])
def test_content_of_no_track_changes_nothing(trainer: Any) -> None:
    without = train(tag_plays(), track_ids(), make_config(trainer), version="v1").bundle
    unknown = train_on_tags(trainer, content=ContentFeatures.empty(track_ids()))
    assert have_same_arrays(without, unknown)
    assert ask(unknown, Query(limit=10, history=listener_history(tracks_of(0, new=False)[:4])))[0] == []


def test_every_version_has_vectors_even_one_of_popularity(bundle: ModelBundle) -> None:
    for version in (bundle, train_on_tags(Popularity())):
        assert version.space is not None
        vectors = version.vectors(np.arange(len(version.items)))
        assert vectors.shape == (len(version.items), version.space.item_factors.shape[1])
        assert vectors.dtype == np.float32
        assert vectors.any(axis=1).all()


def test_versions_without_factors_keep_their_neighbours_for_similar_tracks() -> None:
    bundle = train_on_tags(VOTES)
    assert (bundle.factor_component, bundle.factors, bundle.user_factors.shape[1]) == (None, 0, 0)
    assert not bundle.item_norms.any()


def test_vectors_move_from_content_to_learnt_factors_with_the_number_of_listeners() -> None:
    plain = train(tag_plays(), track_ids(), make_config(FACTORS), version="v1").bundle
    bundle = train_on_tags(FACTORS)
    assert bundle.content is not None
    played = bundle.popularity > 0
    learnt, by_content = plain.item_factors[played], bundle.content.predict(tag_features())[played]
    moved = np.linalg.norm(bundle.item_factors[played] - learnt, axis=1) / np.linalg.norm(by_content - learnt, axis=1)
    np.testing.assert_allclose(moved, bundle.content.parameters.share(bundle.popularity[played]), rtol=1e-3)
    shares = ContentParameters(half_listeners=4.0).share(np.arange(100))
    assert (shares[0], shares[4]) == (1.0, 0.5)
    assert (np.diff(shares) < 0).all()


def test_a_new_track_moves_from_its_content_towards_the_listeners_who_play_it(factors_bundle: ModelBundle) -> None:
    prior = factors_bundle.vectors(factors_bundle.items.known_rows(tracks_of(0, new=True)[:1]))[0]
    fans = factors_bundle.user_factors[factors_bundle.users.known_rows(np.arange(1, 60, TAGS))]  # of tag 1
    confidence = np.full(len(fans), 4.0, np.float32)
    vectors = [item_fold_in(factors_bundle, prior, fans[:k], confidence[:k]) for k in range(0, 16, 3)]
    np.testing.assert_array_equal(vectors[0], prior)
    distances = [float(np.linalg.norm(vector - prior)) for vector in vectors]
    scores = [float(fans.mean(axis=0) @ vector) for vector in vectors]
    assert distances == sorted(distances)
    assert scores == sorted(scores)
    assert scores[-1] > 10 * scores[0] > 0


def test_item_fold_in_by_projection_moves_too_and_needs_content(factors_bundle: ModelBundle) -> None:
    bundle = replace(factors_bundle, fold_in=FoldInConfig("project"))
    prior, fan = np.zeros(4, np.float32), bundle.user_factors[:1]
    moved = item_fold_in(bundle, prior, fan, np.ones(1, np.float32))
    assert 0 < float(fan[0] @ moved) <= 1.01
    with pytest.raises(ValueError, match="trained without content"):
        item_fold_in(replace(bundle, content=None), prior, fan, np.ones(1, np.float32))


def test_tracks_that_came_after_training_have_vectors_and_are_found(factors_bundle: ModelBundle) -> None:
    bundle, content = factors_bundle, factors_bundle.content
    assert content is not None
    fresh = tag_features().of_tracks(tracks_of(1, new=True)[:1])
    vector = content.predict(fresh)
    n = len(bundle.items)
    extended = content.with_updates(np.array([n]), vector)
    np.testing.assert_array_equal(extended.vectors_of(np.array([n])), vector)
    np.testing.assert_array_equal(extended.vectors_of(np.arange(n)), content.vectors_of(np.arange(n)))


@pytest.fixture
def store(tmp_path: Path) -> VersionStore:
    return VersionStore(tmp_path)


def test_content_and_auxiliary_factors_are_stored_with_a_version(bundle: ModelBundle, store: VersionStore) -> None:
    store.write(bundle, {}, judged=bundle)
    rows = np.arange(len(bundle.items))
    for loaded in (store.load("v1"), store.load_judged("v1")):
        assert bundle.content is not None
        assert loaded.content is not None
        np.testing.assert_array_equal(loaded.vectors(rows), bundle.vectors(rows))
        np.testing.assert_array_equal(loaded.content.predict(tag_features()), bundle.content.predict(tag_features()))
        assert loaded.content.parameters == bundle.content.parameters
        query = Query(limit=10, history=listener_history(tracks_of(0, new=False)[:4]))
        np.testing.assert_array_equal(ask(loaded, query)[1], ask(bundle, query)[1])


@pytest.mark.parametrize(
    ("name", "spoilt"),
    [
        ("content_vectors", lambda a: a[:-1]),
        ("content_vectors", lambda a: a.astype(np.float64)),
        ("content_idf", lambda a: a[:-1]),
        ("content_artist_effects", lambda a: a[:, :-1]),
        ("content_user_gramian", None),
        ("auxiliary_factors", lambda a: a[:-1]),
        ("auxiliary_gramian", lambda a: a[:-1]),
    ],
)
def test_damaged_content_is_refused(store: VersionStore, name: str, spoilt: Any) -> None:
    model = store.write(train_on_tags(VOTES), {}) / "model.npz"
    arrays = {n: np.array(a) for n, a in map_npz(model).items()}
    damaged = arrays.pop(name)
    save_npz(model, arrays if spoilt is None else arrays | {name: spoilt(damaged)})
    with pytest.raises(DamagedFile, match=name):
        store.load("v1")


def test_the_same_seed_gives_the_same_content() -> None:
    first, second = (train_on_tags(VOTES) for _ in range(2))
    rows = np.arange(len(first.items))
    np.testing.assert_array_equal(first.vectors(rows), second.vectors(rows))


@pytest.mark.parametrize("name", ["half_listeners", "scale_few", "scale_many"])
def test_parameters_out_of_range_are_refused(name: str) -> None:
    with pytest.raises(ValueError, match=f"{name}: must be a number above 0"):
        ContentParameters(**{name: 0.0})
    parameters = ContentParameters(MapParameters(2.0), 3.0, 0.5, 0.7, 12)
    assert ContentParameters.from_dict(parameters.to_dict()) == parameters


def test_new_tracks_are_on_the_slate_of_a_listener_who_likes_their_tag(bundle: ModelBundle) -> None:
    listener = ListenerState(1_000, listener_history(tracks_of(2, new=False)[:6]), interactions=40)
    query, policy = plan_query(bundle, listener, ONLY_NEW, limit=6)
    picks = recommend(bundle, query, policy).picks
    assert {pick.track_id for pick in picks} == set(tracks_of(2, new=True)) | set(tracks_of(2, new=False)[6:])
    assert {pick.source for pick in picks if pick.track_id in tracks_of(2, new=True)} == {"content"}


@pytest.mark.parametrize("weights", [EarlyWeights(1.0, 0.0), EarlyWeights(0.5, 0.0)])
def test_new_tracks_have_the_scale_of_the_scores_of_new_listeners(bundle: ModelBundle, weights: EarlyWeights) -> None:
    history = listener_history(tracks_of(2, new=False)[:6])
    query = Query(limit=10, history=history, early_weights=weights)
    new = bundle.items.known_rows(tracks_of(2, new=True))
    with bundle.workspaces.borrow() as workspace:
        terms = personal_score_terms(bundle, query, workspace)
        assert terms is not None
        mean, deviation = terms.moments(bundle)
        standardized = (score_personal(bundle, query, workspace, new) - mean) / deviation
        scores = score_early(bundle, query, workspace, new)
    np.testing.assert_allclose(scores, weights.personal * standardized, rtol=1e-6)


def test_a_query_folds_in_once(bundle: ModelBundle) -> None:
    timers: list[nullcontext[None]] = []

    def time_fold_in() -> nullcontext[None]:
        timers.append(nullcontext())
        return timers[-1]

    history = listener_history(tracks_of(2, new=False)[:6])
    for policy in (PERSONAL, EARLY):
        timers.clear()
        recommend(bundle, Query(6, history=history, exclude=history.track, time_fold_in=time_fold_in), policy)
        assert len(timers) == 1
