"""What is played next is evaluated on later sessions, beside simple models and in slates."""

from dataclasses import replace

import numpy as np
import pytest
from numpy.typing import NDArray

from engine.data.id_map import IdMap
from engine.data.plays import Plays
from engine.evaluation.sequences import evaluate_sequences, rank_in_slates, scorer_of_other_catalogue
from engine.models.sequences import SequentialRules
from engine.models.sequences.base import ScoredItems
from engine.pipeline import POLICIES
from engine.training import TrainedVersion, train
from tests.engine.factories import TWO_FACTORS, make_config, train_checkerboard
from tests.engine.models.sequence_contract import ITEMS, album_sessions
from tests.engine.retrieval.test_session import album_plays

SESSIONS = album_sessions(200)
PAST, LATER = SESSIONS.split_newest(0.3)


def score_nothing(prefix: NDArray[np.int32]) -> ScoredItems:
    return np.zeros(0, np.int64), np.zeros(0, np.float32)


def test_models_are_compared_with_simple_ones_on_the_same_plays() -> None:
    model = SequentialRules().fit(PAST, ITEMS, seed=1).score
    report = evaluate_sequences({"model": model, "in_service": score_nothing}, PAST, LATER, ITEMS, seed=1)
    assert list(report["models"]) == ["model", "in_service", "most popular", "last-item rules", "item-kNN"]
    assert {metrics["plays"] for metrics in report["models"].values()} == {report["plays"]}
    recalls = {name: metrics["recall@20"] for name, metrics in report["models"].items()}
    assert 0 == recalls["in_service"] < recalls["most popular"] < recalls["model"]
    assert report["differences"]["in_service"]["mean"] == pytest.approx(recalls["model"], abs=1e-5)
    to_popular = report["differences"]["most popular"]
    assert to_popular["mean"] == pytest.approx(recalls["model"] - recalls["most popular"], abs=1e-5)
    assert 0 < to_popular["low"] < to_popular["mean"] < to_popular["high"] < 1
    again = evaluate_sequences({"model": model, "in_service": score_nothing}, PAST, LATER, ITEMS, seed=1)
    assert again == report


def test_a_model_of_another_catalogue_says_the_same_about_tracks_of_both() -> None:
    own, items = IdMap.from_ids(range(100, 100 + ITEMS)), IdMap.from_ids([7, *range(102, 100 + ITEMS), 5_000])
    model = SequentialRules().fit(PAST, ITEMS, seed=1)
    rows, scores = scorer_of_other_catalogue(model, own, items)(np.array([0, 6, 7], np.int32))  # 7, 107 and 108
    expected = dict(zip(*(column.tolist() for column in model.score(np.array([7, 8]))), strict=True))
    assert dict(zip((items.ids[rows] - 100).tolist(), scores.tolist(), strict=True)) == {
        row: score for row, score in expected.items() if row >= 2
    }
    assert (np.diff(rows) > 0).all()


@pytest.fixture(scope="module")
def trained() -> TrainedVersion:
    return train(album_plays(400), np.arange(100, 100 + ITEMS), make_config(TWO_FACTORS), version="v1")


def test_each_training_reports_the_next_track_of_later_sessions(trained: TrainedVersion) -> None:
    report = trained.manifest["report"]["next_track"]
    assert list(report["models"]) == ["model", "most popular", "last-item rules", "item-kNN"]
    assert report["models"]["model"]["recall@20"] > report["models"]["most popular"]["recall@20"]
    served = report["served"]
    assert (served["weight"], list(served["models"])) == (
        POLICIES["personal"].sources["session"],
        ["with_session", "without_session"],
    )
    assert served["plays"] <= 300


def test_the_model_in_service_is_compared_on_sessions_that_it_has_not_seen(trained: TrainedVersion) -> None:
    def report_of(plays: Plays) -> dict[str, object]:
        return train(
            plays,
            np.arange(100, 100 + ITEMS),
            make_config(TWO_FACTORS),
            version="v2",
            in_service=make_config(TWO_FACTORS).ensemble,
            judged=trained.judged,
        ).manifest["report"]["next_track"]

    assert "in_service" in report_of(album_plays(500))["models"]  # type: ignore[operator]
    newest = trained.judged and trained.judged.statistics.newest
    assert newest is not None
    plays = album_plays(400)
    assert "in_service" not in report_of(plays.where(plays.time < newest))["models"]  # type: ignore[operator]


def test_too_few_sessions_are_not_evaluated_with_a_reason() -> None:
    report = train_checkerboard().manifest["report"]["next_track"]
    assert report["skipped"] == "it needs 100 sessions of at least two plays before those that are held out"
    assert "models" not in report


def test_slates_are_those_that_a_listener_would_get_after_the_plays_before(trained: TrainedVersion) -> None:
    plays, items = album_plays(400), IdMap.from_ids(range(100, 100 + ITEMS))
    users = IdMap.from_ids(plays.user)
    later = replace(LATER, user=np.full(len(LATER), users.row(503)))
    sample = later.sample_plays(count=20, seed=1)
    unknown = replace(later, user=np.full(len(later), -1))
    past = plays.where(plays.track < 110)
    ranks = {
        name: rank_in_slates(trained.bundle, {"all": POLICIES}, past, sessions, sample, items, users)["all"]
        for name, sessions in (("known", later), ("unknown", unknown))
    }
    for of_kind in ranks.values():
        assert len(of_kind) == 20
        assert of_kind.rank.max() <= 20
    assert ranks["known"].rank.tolist() != ranks["unknown"].rank.tolist()
