"""The contract of a model family: a test class inherits it and gives the family's configurations."""

from contextlib import suppress
from dataclasses import FrozenInstanceError, asdict, fields
from functools import cache
from itertools import pairwise
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import pytest
from implicit.recommender_base import ModelFitError
from scipy.sparse import csr_matrix

from engine.bundle.files import read_bundle, write_bundle
from engine.bundle.model_bundle import ModelBundle, assemble_bundle
from engine.data.confidence import ConfidenceWeights, PlayStatistics, confidence_matrix
from engine.data.id_map import IdMap
from engine.data.user_item_pairs import UserItemPairs, count_listeners
from engine.ensemble import ComponentConfig, EnsembleConfig
from engine.fitting import ComponentScorer
from engine.models import FAMILIES
from engine.models.base import CannotTrain, FitCallbacks, FittedModel, Trainer
from engine.models.popularity import Popularity
from engine.pipeline import PERSONAL, SIMILAR, Ranking, recommend
from engine.retrieval.candidates import Query
from engine.tuning.validation_metric import ValidationMetric
from tests.engine.factories import checkerboard, listener_history
from tests.engine.taste_groups import taste_group_split

SIZE = 20
UNUSUAL_MATRICES = {
    "one listener, one track": [[4]],
    "one listener": [[4, 1, 0, 1]],
    "one track": [[4], [0], [1]],
    "two listeners of one track": [[4], [4]],
    "empty rows and columns": [[0, 0, 0, 0, 0], [0, 4, 1, 0, 0], [0, 0, 0, 0, 0], [0, 1, 4, 0, 1], [0, 0, 0, 0, 0]],
    "everybody plays everything": [[1, 1, 1], [1, 1, 1], [1, 1, 1]],
    "nothing shared": [[4, 0, 0], [0, 4, 0], [0, 0, 4]],
}


class FamilyContract:
    """The contract of every family.

    Attributes:
        checkerboard_trainer: solves the checkerboard.
        invalid: fields and values that the family rejects.
        ignores_confidences: whether it only learns who played what, so that confidences make no difference.
    """

    checkerboard_trainer: ClassVar[Trainer]
    invalid: ClassVar[list[tuple[str, Any]]] = []
    ignores_confidences: ClassVar[bool] = False

    def test_its_hyperparameters_are_immutable_and_can_be_stored(self) -> None:
        trainer, family = self.checkerboard_trainer, type(self.checkerboard_trainer)
        assert FAMILIES[family.family] is family
        assert family(**asdict(trainer)) == trainer
        assert hash(family()) == hash(family())
        for field in fields(trainer):
            with pytest.raises(FrozenInstanceError):
                setattr(trainer, field.name, 1)

    def test_it_names_a_hyperparameter_that_is_out_of_range(self) -> None:
        family = type(self.checkerboard_trainer)
        for name, value in self.invalid:
            with pytest.raises(ValueError, match=rf"{family.family}: {name} must"):
                family(**{name: value})

    def test_the_same_seed_gives_the_same_model_and_the_matrix_is_not_changed(self) -> None:
        matrix, untouched = checkerboard_matrix(), checkerboard_matrix()
        first = model_arrays(self.checkerboard_trainer.fit(matrix, seed=1, threads=1))
        second = model_arrays(fit_checkerboard(self.checkerboard_trainer))
        assert len(first) == len(second)
        assert all(np.array_equal(a, b) for a, b in zip(first, second, strict=True))
        for name in ("data", "indices", "indptr"):
            np.testing.assert_array_equal(getattr(matrix, name), getattr(untouched, name))

    def test_it_returns_finite_factors_or_well_formed_neighbours(self) -> None:
        model = fit_checkerboard(self.checkerboard_trainer)
        assert_well_formed(model, checkerboard_matrix(), self.checkerboard_trainer)
        assert (model.factors is None) or (model.neighbours is None)

    def test_it_reports_its_progress_until_it_is_done(self) -> None:
        steps: list[tuple[int, int]] = []
        callbacks = FitCallbacks(on_step=lambda *step: steps.append(step))
        self.checkerboard_trainer.fit(checkerboard_matrix(), seed=1, threads=1, callbacks=callbacks)
        assert steps == sorted(steps)
        assert len({total for _, total in steps}) == 1
        assert steps[-1][0] == steps[-1][1] > 0

    @pytest.mark.parametrize("name", UNUSUAL_MATRICES)
    def test_it_can_be_fitted_on_unusual_matrices(self, name: str) -> None:
        matrix = csr_matrix(np.array(UNUSUAL_MATRICES[name], np.float32))
        model = self.checkerboard_trainer.fit(matrix, seed=1, threads=1)
        assert_well_formed(model, matrix, self.checkerboard_trainer)
        scorer = ComponentScorer.from_model(ComponentConfig(self.checkerboard_trainer), model, matrix)
        assert np.isfinite(scorer(np.arange(matrix.shape[0]))).all()

    @pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
    def test_a_confidence_that_is_not_finite_is_an_error_unless_confidences_make_no_difference(
        self, value: float
    ) -> None:
        matrix = checkerboard_matrix()
        matrix.data[3] = value
        try:
            with np.errstate(all="ignore"):
                model = self.checkerboard_trainer.fit(matrix, seed=1, threads=1)
        except (ArithmeticError, RuntimeError, ModelFitError):  # the second is ARPACK's
            assert not self.ignores_confidences
        else:
            assert self.ignores_confidences
            assert all(np.isfinite(array).all() for array in model_arrays(model))

    def test_an_empty_matrix_gives_no_scores(self) -> None:
        matrix = csr_matrix((3, 4), dtype=np.float32)
        with suppress(CannotTrain):
            model = self.checkerboard_trainer.fit(matrix, seed=1, threads=1)
            scorer = ComponentScorer.from_model(ComponentConfig(self.checkerboard_trainer), model, matrix)
            assert not scorer(np.arange(3)).any()

    @pytest.mark.parametrize("damping", [0.0, 0.5])
    def test_it_recommends_the_same_after_being_stored(self, damping: float, tmp_path: Path) -> None:
        (folder := tmp_path / "v1").mkdir()
        bundle = checkerboard_bundle(self.checkerboard_trainer, damping)
        write_bundle(folder, bundle, {})
        assert recommend_to_all(read_bundle(folder)) == recommend_to_all(bundle)

    @pytest.mark.parametrize("damping", [0.0, 0.5])
    def test_its_neighbours_are_ascending_in_a_bundle(self, damping: float) -> None:
        for neighbours in checkerboard_bundle(self.checkerboard_trainer, damping).neighbours:
            assert neighbours is None or has_ascending_rows(neighbours.indptr, neighbours.indices)

    @pytest.mark.parametrize("played", [[], [999, 7], [120], [104, 104, 999]])
    def test_it_recommends_for_any_history(self, played: list[int]) -> None:
        """Check an empty history, unknown tracks, a track that nobody plays, and a track that is played twice."""
        bundle = checkerboard_bundle(self.checkerboard_trainer)
        ids = np.array(played, np.int64)
        query = Query(4, history=listener_history(ids), exclude=ids, track_id=999)
        ranking = recommend(bundle, query, PERSONAL)
        assert len({p.track_id for p in ranking.picks} - set(played)) == 4
        assert all(np.isfinite(p.score) for p in ranking.picks)
        assert recommend(bundle, query, SIMILAR).picks == []


class PersonalFamilyContract(FamilyContract):
    """The contract of a family that learns what different listeners like.

    Attributes:
        taste_trainer: learns the taste groups.
    """

    taste_trainer: ClassVar[Trainer]

    def test_it_ranks_the_missing_square_of_the_checkerboard_first(self) -> None:
        for number, ranking in enumerate(recommend_to_all(checkerboard_bundle(self.checkerboard_trainer))):
            first = ranking.picks[0]
            assert (first.track_id, first.source) == (100 + number // 2, "personal")

    def test_it_is_more_accurate_than_popularity_on_taste_groups(self) -> None:
        past, future, shape = taste_group_split()
        metric = ValidationMetric.from_pairs(past, future, shape, seed=0, threads=1)
        personal, popular = (ComponentConfig(t, ConfidenceWeights()) for t in (self.taste_trainer, Popularity()))
        matrix = confidence_matrix(past, shape, personal.confidence)
        score, baseline = (
            metric.mean_ndcg(ComponentScorer.from_model(c, c.trainer.fit(matrix, seed=1, threads=1), matrix))
            for c in (personal, popular)
        )
        assert score > 1.2 * baseline

    def test_tracks_that_nobody_played_are_never_similar(self) -> None:
        matrix = csr_matrix(np.array(UNUSUAL_MATRICES["empty rows and columns"], np.float32))
        bundle = assemble_bundle(
            version="v1",
            items=IdMap.from_ids(np.arange(5)),
            popularity=np.bincount(matrix.indices, minlength=5).astype(np.float32),
            ensemble=EnsembleConfig((ComponentConfig(self.checkerboard_trainer),)),
            fitted_models=[self.checkerboard_trainer.fit(matrix, seed=1, threads=1)],
        )
        picks = recommend(bundle, Query(5, track_id=1, exclude=np.array([1])), SIMILAR).picks
        assert {p.track_id for p in picks} <= {2, 4}

    def test_tracks_of_the_same_colour_are_similar(self) -> None:
        bundle = checkerboard_bundle(self.checkerboard_trainer)
        picks = recommend(bundle, Query(5, track_id=104, exclude=np.array([104])), SIMILAR).picks
        assert len(picks) == 5
        assert {p.track_id % 2 for p in picks} == {0}


def checkerboard_pairs() -> tuple[UserItemPairs, IdMap, IdMap]:
    """Return the checkerboard with one more track, which nobody plays."""
    plays = checkerboard(SIZE)
    users, items = IdMap.from_ids(plays.user), IdMap.from_ids(np.arange(100, 101 + SIZE))
    return UserItemPairs.from_plays(plays, users, items), users, items


def checkerboard_matrix() -> csr_matrix:
    return confidence_matrix(checkerboard_pairs()[0], (SIZE, SIZE + 1), ConfidenceWeights())


@cache
def fit_checkerboard(trainer: Trainer) -> FittedModel:
    return trainer.fit(checkerboard_matrix(), seed=1, threads=1)


def checkerboard_bundle(trainer: Trainer, damping: float = 0.0) -> ModelBundle:
    pairs, users, items = checkerboard_pairs()
    return assemble_bundle(
        version="v1",
        items=items,
        popularity=count_listeners(pairs, len(items)),
        ensemble=EnsembleConfig((ComponentConfig(trainer, damping=damping),)),
        fitted_models=[fit_checkerboard(trainer)],
        users=users,
        statistics=PlayStatistics.from_pairs(pairs),
    )


def recommend_to_all(bundle: ModelBundle) -> list[Ranking]:
    """Recommend to each listener twice: by the stored factors, and by fold-in of their plays."""
    plays, rankings = checkerboard(SIZE), []
    for row in range(SIZE):
        own_plays = plays.where(plays.user == 100 + row)
        for user_row in (row, None):
            past = UserItemPairs.from_listener(own_plays)
            query = Query(5, user_row=user_row, history=past, exclude=own_plays.track)
            rankings.append(recommend(bundle, query, PERSONAL))
    return rankings


def model_arrays(model: FittedModel) -> list[Any]:
    neighbours = model.neighbours
    return [
        *(model.factors or ()),
        *(() if neighbours is None else (neighbours.indptr, neighbours.indices, neighbours.data)),
    ]


def has_ascending_rows(indptr: Any, indices: Any) -> bool:
    return all((np.diff(indices[a:b]) > 0).all() for a, b in pairwise(indptr))


def assert_well_formed(model: FittedModel, matrix: csr_matrix, trainer: Trainer) -> None:
    """Assert shapes, dtypes and finite values, and that items nobody played have neither factors nor neighbours."""
    unplayed = np.bincount(matrix.indices, minlength=matrix.shape[1]) == 0
    learns_from_votes = model.neighbours is not None and not trainer.own_tracks_only
    assert learns_from_votes or "recency" not in trainer.search_space  # factors do not depend on it
    if model.factors is not None:
        users, items = model.factors
        assert (len(users), len(items)) == matrix.shape
        assert users.dtype == items.dtype == np.float32
        assert np.isfinite(users).all()
        assert np.isfinite(items).all()
        assert not items[unplayed].any()
        assert not users[np.diff(matrix.indptr) == 0].any()
    if (neighbours := model.neighbours) is not None:
        hyperparameters = asdict(trainer)
        limit = hyperparameters.get("neighbours", hyperparameters.get("candidates"))
        own_tracks_only = trainer.own_tracks_only
        assert neighbours.shape == (matrix.shape[1], matrix.shape[1])
        assert neighbours.dtype == np.float32
        assert np.isfinite(neighbours.data).all()
        assert (neighbours.data != 0).all()
        assert bool(neighbours.diagonal().any()) == own_tracks_only
        assert (np.diff(neighbours.indptr) <= (1 if own_tracks_only else limit)).all()
        assert has_ascending_rows(neighbours.indptr, neighbours.indices)
        assert not np.diff(neighbours.indptr)[unplayed].any()
        assert not unplayed[neighbours.indices].any()
