"""Bundles are evaluated as they serve."""

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from engine.bundle.model_bundle import ModelBundle, catalogue_bundle
from engine.data.id_map import IdMap
from engine.data.plays import Plays, Signal
from engine.data.track_features import NO_DATE
from engine.data.user_item_pairs import UserItemPairs, binary_matrix
from engine.evaluation import bundles as module
from engine.evaluation.bundles import ListenerHistories, Restrictions, evaluate_bundles
from engine.models.als import ALS
from engine.models.item_knn import ItemKNN
from engine.models.popularity import Popularity
from engine.pipeline import EARLY, PERSONAL, Policy, recommend
from engine.retrieval.candidates import Query
from engine.training import MODEL, TrainingConfig, evaluate_on_holdout, train
from tests.engine.factories import ONLY_NEW, make_config
from tests.engine.taste_groups import DAY, N_TRACKS, taste_group_plays

PLAY, SKIP, LIKE, UNLIKE, DISLIKE, UNDISLIKE, SHARE, ADD, REMOVE = Signal
CATALOGUE = IdMap.from_ids(range(10, 20))
# Tracks 10, 11, 12 … are played by 9, 8, 7 … others.
OTHERS = [(100 + fan, 10 + track, PLAY) for track in range(9) for fan in range(9 - track)]


def plays_of(rows: Sequence[tuple[int, int, int]]) -> Plays:
    """Return the plays of (listener, track, signal) tuples, a second apart."""
    plays = Plays.from_rows((user, track, 1, True, second) for second, (user, track, _) in enumerate(rows))
    return replace(plays, signal=np.array([signal for *_, signal in rows], np.int8))


def popular_bundle() -> ModelBundle:
    return catalogue_bundle(CATALOGUE.ids, {10 + track: 9 - track for track in range(9)})


def recalls(
    past: Sequence[tuple[int, int, int]], future: Sequence[int], k: int, restrictions: Restrictions | None = None
) -> dict[str, Any]:
    """Return recall@k of most popular for listener 1, for each question; None where nothing is relevant.

    Args:
        past: (track, signal) of the listener's interactions.
        future: the tracks that the listener plays later.
    """
    report = evaluate_bundles(
        {"model": popular_bundle()},
        plays_of([*OTHERS, *((1, *row) for row in past)]),
        plays_of([(1, track, PLAY) for track in future]),
        CATALOGUE,
        ks=(k,),
        restrictions=restrictions,
    )
    return {
        name: answer["models"]["most_popular"]["metrics"][f"recall@{k}"]["mean"] if answer["listeners"] else None
        for name, answer in report["questions"].items()
    }


def test_each_question_has_its_own_lists_and_relevant_tracks() -> None:
    past = [(10, PLAY), (14, PLAY), (18, PLAY)]
    assert recalls(past, [10, 11], k=1) == {"new": 1, "all": 0.5, "repeats": 1}
    assert recalls(past, [11, 12], k=2) == {"new": 1, "all": 0.5, "repeats": None}
    assert recalls(past, [18, 14], k=2) == {"new": None, "all": 0, "repeats": 0.5}


def test_skipped_tracks_are_known_and_neither_new_nor_played_again() -> None:
    past = [(14, PLAY), (10, SKIP)]
    assert recalls(past, [10, 11], k=1) == {"new": 1, "all": 0.5, "repeats": None}


def test_refused_tracks_are_neither_offered_nor_relevant() -> None:
    past = [(14, PLAY), (10, PLAY), (10, DISLIKE), (15, DISLIKE), (15, UNDISLIKE)]
    assert recalls(past, [10, 11, 14], k=1) == {"new": 1, "all": 0.5, "repeats": 1}
    refused = [
        Restrictions(blocked={1: np.array([10, 99]), 7: np.array([11])}),
        Restrictions(unavailable=np.array([10])),
        Restrictions(unavailable=np.array([11]), unavailable_to={1: np.array([10])}),
    ]
    for restrictions in refused:
        past = [(14, PLAY), (10, PLAY)]
        assert recalls(past, [10, 11, 14], k=1, restrictions=restrictions) == {"new": 1, "all": 0.5, "repeats": 1}


def test_each_listener_has_the_tracks_removed_that_are_refused_to_them_alone() -> None:
    abroad, listeners = np.array([11, 12]), (1, 2, 3, 4)
    restrictions = Restrictions({3: np.array([13]), 4: np.array([10])}, np.array([10]), {2: abroad, 3: abroad})
    past = plays_of([(listener, 19, PLAY) for listener in listeners])
    future = plays_of([(listener, track, PLAY) for listener in listeners for track in (10, 11, 12, 13)])
    histories = module.ListenerHistories.from_plays(past, restrictions)
    all_tracks = binary_matrix(UserItemPairs.from_plays(future, histories.users, CATALOGUE), (4, 10))
    allowed = histories.remove_refused(all_tracks, CATALOGUE)
    tracks = [CATALOGUE.ids[allowed[row].indices].tolist() for row in range(4)]
    assert tracks == [[11, 12, 13], [10, 13], [10], [11, 12, 13]]


def test_listeners_without_a_past_are_left_out_and_those_who_only_skipped_are_not() -> None:
    assert recalls([], [10], k=1) == {"new": None, "all": None, "repeats": None}
    assert recalls([(15, SKIP)], [10], k=1) == {"new": 1, "all": 1, "repeats": None}


def test_tracks_that_the_catalogue_no_longer_has_are_not_offered() -> None:
    deleted = IdMap.from_ids([i for i in CATALOGUE.ids if i != 10])
    past, future = plays_of([*OTHERS, (1, 14, PLAY)]), plays_of([(1, 11, PLAY)])
    report = evaluate_bundles({"model": popular_bundle()}, past, future, deleted, ks=(1,))
    assert report["questions"]["new"]["models"]["most_popular"]["metrics"]["recall@1"]["mean"] == 1


@pytest.mark.parametrize(("now", "recall"), [(101 * DAY, 1), (99 * DAY, 0), (0, 0)])
def test_new_releases_are_those_of_the_time_at_which_the_lists_are_asked_for(now: int, recall: int) -> None:
    bundle = popular_bundle()
    released = np.where(CATALOGUE.ids == 12, 100, NO_DATE).astype(np.int32)
    bundle = replace(bundle, features=replace(bundle.features, released=released))
    past, future = plays_of([*OTHERS, (1, 14, PLAY)]), plays_of([(1, 12, PLAY)])
    policy = Policy("fresh", {"new_releases": 1.0})
    report = evaluate_bundles({"model": bundle}, past, future, CATALOGUE, ks=(1,), trial=policy, now=now)
    assert report["questions"]["new"]["models"]["policy"]["metrics"]["recall@1"]["mean"] == recall


def split_taste_groups() -> tuple[Plays, Plays]:
    plays = taste_group_plays()
    is_past = plays.time <= 75 * DAY
    return plays.where(is_past), plays.where(~is_past)


@pytest.mark.parametrize("trainer", [ALS(factors=8, iterations=4), ItemKNN()], ids=["factors", "neighbours"])
def test_the_lists_are_those_that_a_version_of_the_past_serves(trainer: Any) -> None:
    past, future = split_taste_groups()
    items = IdMap.from_ids(range(N_TRACKS))
    bundle = train(past, items.ids, make_config(trainer), version="v1").bundle
    histories = module.ListenerHistories.from_plays(past, Restrictions())
    rows = np.arange(len(histories.users))
    lists = module.BundleRanker(bundle, histories, items, "new", 5, PERSONAL)(rows, 10, lambda done: None)
    assert (lists.items >= 0).all()
    assert lists.is_personal.all()
    for row, ranked in zip(rows, lists.items, strict=True):
        state = histories.state(row)
        query = Query(
            10,
            user_row=bundle.users.row(state.listener_id),
            history=state.history,
            exclude=state.history.track,
            early_weights=bundle.early.for_listener(state.interactions, 5),
        )
        policy = ONLY_NEW if state.interactions >= 5 else EARLY
        assert ranked.tolist() == [pick.track_id for pick in recommend(bundle, query, policy).picks]
    assert histories.interactions.min() < 5 < histories.interactions.max()
    report = evaluate_bundles({"model": bundle}, past, future, items, ks=(10,))["questions"]["new"]
    assert report["models"]["model"]["metrics"]["personalised"]["mean"] == 1
    assert report["differences"]["most_popular"]["ndcg@10"]["low"] > 0


def test_the_first_bundle_is_compared_with_all_others() -> None:
    past, future = split_taste_groups()
    items = IdMap.from_ids(range(N_TRACKS))
    model, other = (train(past, items.ids, make_config(t), version="v").bundle for t in (ItemKNN(), Popularity()))
    report = evaluate_bundles({"model": model, "in_service": other}, past, future, items, question="all", max_users=50)
    assert report["question"] == "all"
    for answer in (report["questions"]["new"], report["questions"]["all"]):
        assert list(answer["models"]) == ["model", "in_service", "most_popular"]
        assert set(answer["differences"]) == {"in_service", "most_popular"}
        assert answer["listeners"] == 50
    assert report["questions"]["repeats"]["models"] == {}  # nobody plays a track twice
    new = report["questions"]["new"]
    assert new["models"]["in_service"] == new["models"]["most_popular"]


def test_the_questions_that_do_not_decide_are_asked_of_fewer_listeners(monkeypatch: pytest.MonkeyPatch) -> None:
    past, future = split_taste_groups()
    items = IdMap.from_ids(range(N_TRACKS))
    monkeypatch.setattr(module, "MAX_USERS_OF_OTHER_QUESTIONS", 30)
    steps: list[tuple[int, int]] = []
    report = evaluate_bundles(
        {"model": catalogue_bundle(items.ids)},
        past,
        future,
        items,
        question="all",
        max_users=100,
        progress=lambda done, total: steps.append((done, total)),
    )
    assert {name: answer["listeners"] for name, answer in report["questions"].items()} == {
        "new": 30, "all": 100, "repeats": 0,
    }  # fmt: skip
    assert steps == [(30, 260), (60, 260), (160, 260), (260, 260)]
    everybody = evaluate_bundles({"model": catalogue_bundle(items.ids)}, past, future, items, max_users=None)
    assert everybody["questions"]["all"]["listeners"] > 100


def test_a_popularity_recipe_is_judged_as_it_serves_new_listeners() -> None:
    config = make_config(Popularity(), split="new_users")
    report = evaluate_on_holdout(taste_group_plays(), IdMap.from_ids(range(N_TRACKS)), config).report
    assert report["split"] == "new_users"
    models = report["questions"]["new"]["models"]
    assert models[MODEL]["metrics"]["ndcg@10"] == models["most_popular"]["metrics"]["ndcg@10"]
    assert models[MODEL]["metrics"]["ndcg@10"]["mean"] > 0.02


def test_a_holdout_without_anything_to_evaluate_has_empty_answers() -> None:
    plays = Plays.from_rows([(1, 5, 1, True, 0)])
    report = evaluate_on_holdout(plays, IdMap.from_ids([5]), TrainingConfig(question="all")).report
    empty = {"listeners": 0, "models": {}, "differences": {}}
    assert report["question"] == "all"
    assert report["questions"] == {"new": empty, "all": empty, "repeats": empty}


def test_listeners_are_in_the_session_that_serving_would_read() -> None:
    now = 10_000
    rows = [  # listener, track, second, shuffled
        (1, 10, now - 5_000, False),  # before a pause
        (1, 11, now - 900, False),
        (1, 12, now - 600, False),
        (2, 13, now - 1_801, False),
        (3, 14, now - 900, False),
        (3, 15, now - 600, True),
        (4, 16, now - 900, True),
        (4, 17, now - 600, False),
        *((5, 10 + n % 9, now - 60 * (30 - n), False) for n in range(25)),
    ]
    plays = Plays.from_rows((user, track, 1, True, time) for user, track, time, _ in rows)
    plays = replace(plays, shuffled=np.array([shuffled for *_, shuffled in rows]))
    histories = ListenerHistories.from_plays(plays, Restrictions(), now)
    sessions = [histories.state(row).session.tolist() for row in range(len(histories.users))]
    latest = [10 + n % 9 for n in range(5, 25)]
    assert sessions == [[11, 12], [], [], [17], latest]
    without = ListenerHistories.from_plays(plays, Restrictions())
    assert [without.state(row).session.tolist() for row in range(5)] == [[]] * 5
