import weakref
from dataclasses import replace

import numpy as np
import pytest
from numpy.typing import NDArray

from engine.data.id_map import IdMap
from engine.data.plays import Plays
from engine.ensemble import ComponentConfig, EnsembleConfig
from engine.fitting import ComponentScorer
from engine.models.base import CannotTrain, FittedModel
from engine.models.ials import IALS
from engine.models.item_knn import ItemKNN
from engine.models.popularity import Popularity
from engine.models.rp3beta import RP3Beta
from engine.tuning.first_night import ChosenEnsemble, choose_ensemble
from engine.tuning.trial_runner import TrialRunner
from engine.tuning.validation_metric import ValidationMetric
from tests.engine.taste_groups import N_TRACKS, taste_group_plays

PLAYS, ITEMS = taste_group_plays(), IdMap.from_ids(np.arange(N_TRACKS))
POPULAR, FACTORS, WALKS = (
    EnsembleConfig((ComponentConfig(trainer),)) for trainer in (Popularity(), IALS(factors=8), RP3Beta())
)


def choose(
    plays: Plays = PLAYS, *candidates: EnsembleConfig, incumbent: EnsembleConfig | None = None
) -> ChosenEnsemble:
    return choose_ensemble(plays, ITEMS, candidates, incumbent=incumbent, threads=1)


def test_it_takes_the_ensemble_with_the_best_score() -> None:
    choice = choose(PLAYS, POPULAR, FACTORS, WALKS)
    scores = {attempt.ensemble: attempt.score or 0 for attempt in choice.tried}
    assert list(scores) == [POPULAR, FACTORS, WALKS, *scores.keys() - {POPULAR, FACTORS, WALKS}]
    assert choice.ensemble == max(scores, key=lambda ensemble: scores[ensemble])
    assert scores[choice.ensemble] > 1.5 * scores[POPULAR]
    assert (choice.split, choice.listeners > 100) == ("time", True)


def test_the_two_best_are_blended_equally() -> None:
    blend = choose(PLAYS, POPULAR, FACTORS, WALKS).tried[-1].ensemble
    assert set(blend.components) == {*FACTORS.components, *WALKS.components}
    assert blend.weights.few == blend.weights.many == (0.5, 0.5)


def test_components_are_fitted_once_and_only_those_of_the_blend_are_kept(monkeypatch: pytest.MonkeyPatch) -> None:
    fitted: list[weakref.ref[object]] = []

    def fit(self: TrialRunner, component: ComponentConfig) -> ComponentScorer:
        kept.append(sum(scorer() is not None for scorer in fitted))
        fitted.append(weakref.ref(scorer := original(self, component)))
        return scorer

    original, kept = TrialRunner.fit, list[int]()
    monkeypatch.setattr(TrialRunner, "fit", fit)
    neighbours = EnsembleConfig((ComponentConfig(ItemKNN()),))
    choice = choose(PLAYS, POPULAR, FACTORS, neighbours, WALKS)
    assert kept == [0, 0, 1, 2]  # before each fit; popularity is in no blend
    assert len(choice.tried) == 5


def test_a_blend_is_chosen_only_if_it_is_better_beyond_its_standard_error(monkeypatch: pytest.MonkeyPatch) -> None:
    def score(self: ValidationMetric, scorer: object) -> NDArray[np.float64]:
        scored.append(scorer)
        noise = np.arange(len(self.ground_truth.users)) % 2 * 0.1
        return [np.full(len(noise), 0.2), np.full(len(noise), 0.3), 0.3 + gain - 0.05 + noise][len(scored) - 1]

    monkeypatch.setattr(ValidationMetric, "ndcg_per_user", score)
    scored: list[object] = []
    gain = 0.003
    choice = choose(PLAYS, FACTORS, WALKS)
    assert choice.ensemble == WALKS
    assert choice.reason == f"rp3beta: NDCG@10 0.3000 on {choice.listeners} listeners, the best of 2 besides the blend"
    assert [attempt.note for attempt in choice.tried] == [
        "",
        "",
        "not taken: +0.0030 against rp3beta is not more than its standard error, 0.0042",
    ]
    scored.clear()
    gain = 0.006
    choice = choose(PLAYS, FACTORS, WALKS)
    assert choice.ensemble.algorithm == "rp3beta+ials"
    assert choice.reason == f"rp3beta+ials: NDCG@10 0.3060 on {choice.listeners} listeners, the best of 3"
    assert [attempt.note for attempt in choice.tried] == ["", "", ""]


def test_popularity_is_chosen_where_nothing_can_be_learned() -> None:
    rng = np.random.default_rng(3)
    popularity = 1 / np.arange(1, N_TRACKS + 1)
    tracks = [rng.choice(N_TRACKS, 12, p=popularity / popularity.sum(), replace=False) for _ in range(100)]
    plays = Plays.from_rows(
        (user, int(track), 1.0, True, int(rng.integers(10**6))) for user in range(100) for track in tracks[user]
    )
    assert choose(plays, FACTORS, POPULAR).ensemble == POPULAR


def test_the_one_in_service_stays_unless_another_is_better_beyond_chance() -> None:
    a_little_worse = EnsembleConfig((replace(WALKS.components[0], trainer=RP3Beta(beta=0.4)),))
    choice = choose(PLAYS, WALKS, incumbent=a_little_worse)
    scores = [attempt.score or 0 for attempt in choice.tried]
    assert choice.ensemble == a_little_worse
    assert scores[0] > scores[1]
    assert choice.reason.startswith("rp3beta stays in service: rp3beta, the best other, has +0.0")
    assert choice.reason.endswith(", and more than 2 standard errors are needed")
    better = choose(PLAYS, WALKS, incumbent=POPULAR)
    assert better.ensemble == WALKS
    assert better.reason.endswith("against the one in service")


def test_with_too_few_listeners_nothing_is_tried() -> None:
    few = PLAYS.where(PLAYS.user < 40)
    assert choose(few, FACTORS, WALKS) == ChosenEnsemble(
        FACTORS,
        "ials, without trying others: 40 listeners can be judged, and telling which is better takes 50",
        40,
    )
    assert choose(few, FACTORS, incumbent=WALKS).ensemble == WALKS
    assert choose(Plays.empty(), FACTORS).ensemble == FACTORS


def test_sessions_of_listeners_who_never_return_are_split_by_their_last_track() -> None:
    one_after_the_other = replace(PLAYS, time=PLAYS.user * 1000 + PLAYS.time % 1000)
    choice = choose(one_after_the_other, POPULAR, WALKS)
    assert (choice.split, choice.listeners) == ("leave_last", 150)


def test_a_family_that_cannot_be_fitted_is_left_out_with_its_reason(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*args: object, **kwargs: object) -> FittedModel:
        raise CannotTrain("rp3beta: too many tracks")

    monkeypatch.setattr(RP3Beta, "fit", refuse)
    choice = choose(PLAYS, WALKS, POPULAR)
    assert choice.ensemble == POPULAR
    assert [(tried["algorithm"], tried["score"], tried["note"]) for tried in choice.to_dict()["tried"]] == [
        ("rp3beta", None, "CannotTrain: rp3beta: too many tracks"),
        ("popularity", choice.tried[1].score, ""),
    ]
