from dataclasses import replace

import numpy as np
import pytest

from engine.data.id_map import IdMap
from engine.data.play_contexts import PlayContexts
from engine.data.plays import Plays
from engine.data.track_features import TrackFeatures
from engine.ensemble import ComponentConfig, EnsembleConfig
from engine.evaluation.bundles import evaluate_bundles
from engine.evaluation.questions import question_report
from engine.models.als import ALS
from engine.models.base import FittedModel
from engine.models.popularity import Popularity
from engine.models.rp3beta import RP3Beta
from engine.pipeline import PERSONAL, POLICIES, SIMILAR, recommend
from engine.ranking.explain import explain_by_history
from engine.retrieval.candidates import Query
from engine.training import TrainingConfig, evaluate_on_holdout, train
from tests.engine.context_world import CONFIG, LAST_DAYS, TRACK_IDS, listening_world
from tests.engine.factories import (
    TWO_FACTORS,
    checkerboard,
    have_same_arrays,
    listener_history,
    make_config,
    train_checkerboard,
)
from tests.engine.taste_groups import N_TRACKS, taste_group_plays


@pytest.fixture(scope="module", params=["als", "svd"])
def bundle(request: pytest.FixtureRequest):  # type: ignore[no-untyped-def]
    with pytest.MonkeyPatch.context() as patch:
        if request.param == "svd":
            patch.setattr(ALS, "fit", run_out_of_memory)
        trained = train_checkerboard()
    assert trained.manifest["fallback"] == (
        None if request.param == "als" else "als could not run (MemoryError: no memory for factors)"
    )
    assert trained.bundle.algorithm == request.param
    return trained.bundle


def run_out_of_memory(*args: object, **kwargs: object) -> FittedModel:
    raise MemoryError("no memory for factors")


def test_the_track_left_out_of_the_checkerboard_is_recommended_first(bundle) -> None:  # type: ignore[no-untyped-def]
    for user in range(20):
        played = 100 + np.array([t for t in range(20) if t % 2 == user % 2 and t != user])
        for stored in (bundle.users.row(100 + user), None):  # the stored vector, and the same plays folded in
            query = Query(limit=3, user_row=stored, history=listener_history(played), exclude=played)
            first = recommend(bundle, query, PERSONAL).picks[0]
            assert (first.track_id, first.source) == (100 + user, "personal")


def test_similar_tracks_have_the_same_colour(bundle) -> None:  # type: ignore[no-untyped-def]
    query = Query(limit=9, track_id=104, exclude=np.array([104]))
    assert {p.track_id % 2 for p in recommend(bundle, query, SIMILAR).picks} == {0}


def test_a_recommendation_is_explained_by_played_tracks_of_its_colour(bundle) -> None:  # type: ignore[no-untyped-def]
    query = Query(limit=3, history=listener_history([101, 102, 103, 106, 999]))
    reason = explain_by_history(bundle, query, "personal", [104, 999])[104]
    assert sorted(track_id for track_id, _ in reason.because) == [102, 106]
    assert [share for _, share in reason.because] == pytest.approx([0.5, 0.5], abs=0.01)


def test_the_model_beats_most_popular_where_there_is_something_to_learn() -> None:
    report = train_checkerboard(60).manifest["report"]
    assert report["split"] == "time"
    assert question_report(report)["listeners"] > 0
    ratio = train(
        Plays.from_rows((u, t, 1, True, 7) for u in range(60) for t in range(60) if u % 2 == t % 2 and u != t),
        np.arange(60),
        make_config(TWO_FACTORS),
        version="v1",
    ).manifest["report"]
    assert ratio["split"] == "ratio"  # all at the same time: totals
    models = question_report(ratio)["models"]
    model, popular = (models[name]["metrics"]["ndcg@10"]["mean"] for name in ("model", "most_popular"))
    assert model > 1.5 * popular


def test_the_same_seed_gives_the_same_version() -> None:
    assert have_same_arrays(train_checkerboard().bundle, train_checkerboard().bundle)


def test_progress_reaches_its_total_in_every_stage() -> None:
    seen: dict[str, list[tuple[int, int]]] = {}
    plays = checkerboard(30)
    train(
        plays,
        np.arange(100, 130),
        make_config(ALS(factors=4, iterations=3)),
        version="v1",
        progress=lambda stage, done, total: seen.setdefault(stage, []).append((done, total)),
    )
    assert seen.keys() == {"judge", "evaluate", "fit"}
    assert all(steps == sorted(steps) and steps[-1][0] == steps[-1][1] for steps in seen.values())
    assert seen["judge"][-1] == seen["fit"][-1] == (1000, 1000)


def test_without_plays_the_error_says_what_to_do() -> None:
    with pytest.raises(ValueError, match="import plays first"):
        train(Plays.empty(), np.arange(3), make_config(ALS()), version="v1")


def test_one_listener_with_one_track_is_enough_to_train_a_version() -> None:
    trained = train(Plays.from_rows([(1, 5, 1, True, 0)]), np.array([5, 6]), make_config(ALS()), version="v1")
    picks = recommend(trained.bundle, Query(limit=2, exclude=np.array([5])), PERSONAL).picks
    assert [p.track_id for p in picks] == [6]


def test_a_track_that_nobody_played_is_in_the_version_without_factors() -> None:
    bundle = train(checkerboard(), np.arange(100, 130), make_config(ALS(factors=4)), version="v1").bundle
    assert len(bundle.items) == 30
    assert bundle.item_row(125) is None
    assert bundle.item_row(105) == 5


def test_the_model_of_the_last_report_is_evaluated_on_the_plays_of_the_next_one() -> None:
    plays = taste_group_plays()
    config = TrainingConfig(EnsembleConfig((ComponentConfig(RP3Beta()),)), threads=1)
    older, tracks = plays.where(plays.time < np.quantile(plays.time, 0.9)), np.arange(N_TRACKS)
    first = train(older, tracks, config, version="v1")
    assert first.judged is not None
    assert len(first.judged.users) == 0
    second = train(plays, tracks, config, version="v2", in_service=config.ensemble, judged=first.judged)
    report = question_report(second.manifest["report"])
    assert second.manifest["report"]["comparison"] == "version"
    assert report["models"].keys() == {"model", "in_service", "most_popular"}
    assert abs(report["differences"]["in_service"]["ndcg@10"]["mean"]) < 0.05


def test_the_model_of_the_last_report_has_the_caps_of_the_catalogue_although_it_was_stored_without_artists() -> None:
    plays, items = taste_group_plays(), IdMap.from_ids(np.arange(N_TRACKS))
    config = TrainingConfig(EnsembleConfig((ComponentConfig(RP3Beta()),)), threads=1)
    features = replace(TrackFeatures.unknown(items.ids), artist=items.ids // 4)
    older = plays.where(plays.time < np.quantile(plays.time, 0.9))
    judged = train(older, items.ids, config, version="v1", features=features).judged
    assert judged is not None
    reports = [
        evaluate_on_holdout(plays, items, config, features=features, in_service=config.ensemble, judged=model).report
        for model in (judged, replace(judged, features=TrackFeatures.unknown(judged.items.ids)))
    ]
    assert reports[0] == reports[1]
    assert reports[0]["comparison"] == "version"


@pytest.mark.parametrize(
    ("reason", "not_evaluated"),
    [
        ("it has seen the plays", "its model has seen some of them"),
        ("another ensemble", None),
        ("another kind of split", "a ratio split does not separate older plays from newer ones"),
        ("it was not stored", "it has no readable model that was fitted on older plays only"),
    ],
)
def test_a_judged_model_that_cannot_be_compared_is_left_out_with_the_reason(
    reason: str, not_evaluated: str | None
) -> None:
    plays = taste_group_plays()
    config = TrainingConfig(EnsembleConfig((ComponentConfig(RP3Beta()),)), threads=1)
    judged = train(plays, np.arange(N_TRACKS), config, version="v1").judged
    in_service = EnsembleConfig((ComponentConfig(Popularity()),)) if reason == "another ensemble" else config.ensemble
    if reason == "another kind of split":
        config = replace(config, split="ratio")
    if reason == "it was not stored":
        judged = None
    older = plays.where(plays.time < np.quantile(plays.time, 0.9))
    second = train(older, np.arange(N_TRACKS), config, version="v2", in_service=in_service, judged=judged)
    report = second.manifest["report"]
    assert report["comparison"] == ("recipe" if reason == "another ensemble" else "")
    assert report.get("not_evaluated") == not_evaluated


def test_the_context_is_learnt_only_where_it_is_to_count_and_helps() -> None:
    plays, contexts = listening_world()
    usual = train(plays, TRACK_IDS, CONFIG, version="v1")
    assert (usual.bundle.context, usual.manifest["context"]) == (None, None)
    with_context = train(plays, TRACK_IDS, CONFIG, version="v1", contexts=contexts)
    assert with_context.bundle.context is not None
    assert with_context.bundle.context.weights.keys() == {"hours"}
    assert with_context.manifest["context"]["kinds"]["hours"]["gain"] > 0
    assert with_context.manifest["report"] == usual.manifest["report"]  # which is about all hours
    assert have_same_arrays(with_context.bundle, usual.bundle)
    at_any_hour, _ = listening_world(at_own_hours=False)
    without_hours = train(at_any_hour, TRACK_IDS, CONFIG, version="v1", contexts=PlayContexts.empty())
    assert without_hours.bundle.context is None
    assert without_hours.manifest["context"]["kinds"]["hours"]["weight"] == 0


def test_a_training_run_goes_on_if_the_context_cannot_be_learnt(monkeypatch: pytest.MonkeyPatch) -> None:
    plays, contexts = listening_world()
    monkeypatch.setattr("engine.training.learn_context_weights", run_out_of_memory)
    trained = train(plays, TRACK_IDS, CONFIG, version="v1", contexts=contexts)
    assert trained.bundle.context is None
    assert trained.manifest["context"] == {"skipped": "could not be learnt (MemoryError: no memory for factors)"}


def test_the_context_cannot_be_learnt_from_another_split_than_by_time() -> None:
    plays, contexts = listening_world()
    config = replace(CONFIG, split="ratio")
    trained = train(plays, TRACK_IDS, config, version="v1", contexts=contexts)
    assert trained.bundle.context is None
    assert trained.manifest["context"] == {"skipped": "needs plays that are split by time, not a ratio split"}


def test_an_evaluation_leaves_the_context_out() -> None:
    plays, contexts = listening_world()
    always = {**POLICIES, "personal": replace(PERSONAL, dials=replace(PERSONAL.dials, context=1.0))}
    items = IdMap.from_ids(TRACK_IDS)
    bundle = train(plays.where(plays.time < LAST_DAYS), TRACK_IDS, CONFIG, version="v1", contexts=contexts).bundle
    assert bundle.context is not None
    past, future = plays.where(plays.time < LAST_DAYS), plays.where(plays.time >= LAST_DAYS)
    reports = [
        evaluate_bundles({"model": bundle}, past, future, items, policies=policies, now=LAST_DAYS)
        for policies in (POLICIES, always)
    ]
    assert reports[0] == reports[1]
