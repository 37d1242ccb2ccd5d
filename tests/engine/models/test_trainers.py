"""What every family of models keeps to."""

import sys
from contextlib import suppress
from dataclasses import FrozenInstanceError, asdict, fields
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from scipy.sparse import csr_matrix

from engine.bundle.files import read_bundle, write_bundle
from engine.bundle.model_bundle import ModelBundle, assemble_bundle
from engine.data.confidence import ConfidenceWeights, PlayStatistics, confidence_matrix
from engine.data.id_map import IdMap
from engine.data.user_item_pairs import UserItemPairs, count_listeners
from engine.ensemble import ComponentConfig, EnsembleConfig
from engine.fitting import ComponentScorer
from engine.models import FAMILIES
from engine.models.als import ALS
from engine.models.base import CannotTrain, FitCallbacks, FittedModel, Trainer
from engine.models.bpr import BPR
from engine.models.ials import IALS
from engine.models.item_knn import ItemKNN
from engine.models.linear_autoencoder import LinearAutoencoder
from engine.models.popularity import Popularity
from engine.models.rp3beta import RP3Beta
from engine.models.slim import SLIM
from engine.models.svd import SVD
from engine.pipeline import PERSONAL, SIMILAR, Ranking, recommend
from engine.retrieval.candidates import Query
from engine.tuning.validation_metric import ValidationMetric
from tests.engine.factories import checkerboard, listener_history
from tests.engine.taste_groups import taste_group_split

SIZE = 20
SMALL: dict[str, Trainer] = {
    t.family: t
    for t in (
        ALS(factors=2, iterations=10),
        IALS(factors=2, iterations=10),
        BPR(factors=4, iterations=300, learning_rate=0.1),
        SVD(factors=2),
        RP3Beta(neighbours=15),
        ItemKNN(neighbours=15),
        SLIM(l1=0.1, l2=10.0, candidates=15),
        LinearAutoencoder(l2=50.0, neighbours=15),
        Popularity(),
    )
}
TASTEFUL = SMALL | {
    "als": ALS(factors=8, regularization=5.0),
    "ials": IALS(factors=6, regularization=0.1, unobserved=0.1),
    "bpr": BPR(factors=16, iterations=60, learning_rate=0.02),
    "svd": SVD(factors=6),
    "rp3beta": RP3Beta(neighbours=100),
    "item_knn": ItemKNN(neighbours=100),
    "slim": SLIM(l1=1.0, l2=50.0, candidates=60),
    "linear_autoencoder": LinearAutoencoder(l2=100.0, neighbours=200),
}
PERSONAL_FAMILIES = [family for family in FAMILIES if family != "popularity"]
OUT_OF_RANGE = [
    *(("als", name, -1) for name in ("factors", "iterations", "regularization")),
    *(("ials", name, 0) for name in ("factors", "iterations", "regularization", "unobserved")),
    ("ials", "exponent", -0.1),
    *(("bpr", name, 0) for name in ("factors", "iterations", "learning_rate")),
    ("bpr", "regularization", -0.1),
    ("svd", "factors", 0),
    *(("rp3beta", name, value) for name, value in (("alpha", 0), ("beta", -0.1), ("neighbours", 0))),
    *(("item_knn", name, value) for name, value in (("shrink", -1), ("normalization", "sine"), ("neighbours", 0))),
    *(("slim", name, value) for name, value in (("l1", -1), ("l2", -1), ("candidates", 0), ("sweeps", 0))),
    *(("linear_autoencoder", name, 0) for name in ("l2", "neighbours")),
    *(("linear_autoencoder", name, 1.1) for name in ("dropout", "relaxation")),
    ("linear_autoencoder", "diagonal", "half"),
    *((family, "factors", float("nan")) for family in ("als", "ials", "bpr", "svd")),
]
ODD = {
    "one listener, one track": [[4]],
    "one listener": [[4, 1, 0, 1]],
    "one track": [[4], [0], [1]],
    "two listeners of one track": [[4], [4]],
    "empty rows and columns": [[0, 0, 0, 0, 0], [0, 4, 1, 0, 0], [0, 0, 0, 0, 0], [0, 1, 4, 0, 1], [0, 0, 0, 0, 0]],
    "everybody plays everything": [[1, 1, 1], [1, 1, 1], [1, 1, 1]],
    "nothing shared": [[4, 0, 0], [0, 4, 0], [0, 0, 4]],
}


def board() -> tuple[UserItemPairs, IdMap, IdMap]:
    """The checkerboard and one more track, which nobody plays."""
    plays = checkerboard(SIZE)
    users, items = IdMap.from_ids(plays.user), IdMap.from_ids(np.arange(100, 101 + SIZE))
    return UserItemPairs.from_plays(plays, users, items), users, items


def matrix() -> csr_matrix:
    return confidence_matrix(board()[0], (SIZE, SIZE + 1), ConfidenceWeights())


@cache
def learnt_of(family: str) -> FittedModel:
    return SMALL[family].fit(matrix(), seed=1, threads=1)


def bundle_of(family: str, damping: float = 0.0) -> ModelBundle:
    pairs, users, items = board()
    return assemble_bundle(
        version="v1",
        items=items,
        popularity=count_listeners(pairs, len(items)),
        ensemble=EnsembleConfig((ComponentConfig(SMALL[family], damping=damping),)),
        fitted_models=[learnt_of(family)],
        users=users,
        statistics=PlayStatistics.from_pairs(pairs),
    )


def answers(bundle: ModelBundle) -> list[Ranking]:
    """For every listener, from the vector stored and from their plays."""
    plays, found = checkerboard(SIZE), []
    for row in range(SIZE):
        mine = plays.where(plays.user == 100 + row)
        for stored in (row, None):
            query = Query(5, user_row=stored, past=UserItemPairs.from_listener(mine), exclude=mine.track)
            found.append(recommend(bundle, query, PERSONAL))
    return found


def arrays(learnt: FittedModel) -> list[Any]:
    lists = learnt.neighbours
    return [*(learnt.factors or ()), *(() if lists is None else (lists.indptr, lists.indices, lists.data))]


@pytest.mark.parametrize("family", PERSONAL_FAMILIES)
class TestEveryPersonalFamily:
    def test_puts_the_missing_square_of_a_checkerboard_first(self, family: str) -> None:
        for number, ranking in enumerate(answers(bundle_of(family))):
            first = ranking.picks[0]
            assert (first.track_id, first.source) == (100 + number // 2, "personal")

    def test_knows_tastes_better_than_what_is_popular(self, family: str) -> None:
        past, future, shape = taste_group_split()
        metric = ValidationMetric.from_pairs(past, future, shape, seed=0, threads=1)
        ours, popular = (ComponentConfig(trainer, ConfidenceWeights()) for trainer in (TASTEFUL[family], Popularity()))
        x = confidence_matrix(past, shape, ours.confidence)
        score, base = (
            metric.mean_ndcg(ComponentScorer.from_model(part, part.trainer.fit(x, seed=1, threads=1), x))
            for part in (ours, popular)
        )
        assert score > 1.2 * base

    def test_never_calls_a_track_similar_that_nobody_played(self, family: str) -> None:
        x = csr_matrix(np.array(ODD["empty rows and columns"], np.float32))
        bundle = assemble_bundle(
            version="v1",
            items=IdMap.from_ids(np.arange(5)),
            popularity=np.bincount(x.indices, minlength=5).astype(np.float32),
            ensemble=EnsembleConfig((ComponentConfig(SMALL[family]),)),
            fitted_models=[SMALL[family].fit(x, seed=1, threads=1)],
        )
        picks = recommend(bundle, Query(5, track_id=1, exclude=np.array([1])), SIMILAR).picks
        assert {p.track_id for p in picks} <= {2, 4}

    def test_finds_tracks_of_the_same_colour_similar(self, family: str) -> None:
        picks = recommend(bundle_of(family), Query(5, track_id=104, exclude=np.array([104])), SIMILAR).picks
        assert len(picks) == 5
        assert {p.track_id % 2 for p in picks} == {0}


@pytest.mark.parametrize("family", FAMILIES)
class TestEveryFamily:
    def test_has_a_name_and_hyperparameters_that_can_be_written_down(self, family: str) -> None:
        trainer, kind = SMALL[family], FAMILIES[family]
        assert kind.family == family
        assert kind(**asdict(trainer)) == trainer  # type: ignore[call-overload]
        assert hash(kind()) == hash(kind())
        for field in fields(trainer):  # type: ignore[arg-type]
            with pytest.raises(FrozenInstanceError):
                setattr(trainer, field.name, 1)

    def test_gives_the_same_for_the_same_seed_and_leaves_its_matrix_alone(self, family: str) -> None:
        given, before = matrix(), matrix()
        one, other = arrays(SMALL[family].fit(given, seed=1, threads=1)), arrays(learnt_of(family))
        assert len(one) == len(other)
        assert all(np.array_equal(a, b) for a, b in zip(one, other, strict=True))
        for name in ("data", "indices", "indptr"):
            np.testing.assert_array_equal(getattr(given, name), getattr(before, name))

    def test_gives_finite_factors_or_tidy_neighbours(self, family: str) -> None:
        check(learnt_of(family), matrix(), SMALL[family])
        assert (learnt_of(family).factors is None) or (learnt_of(family).neighbours is None)

    def test_goes_on_telling_until_it_is_done(self, family: str) -> None:
        told: list[tuple[int, int]] = []
        SMALL[family].fit(matrix(), seed=1, threads=1, callbacks=FitCallbacks(lambda *step: told.append(step)))
        assert told == sorted(told)
        assert len({total for _, total in told}) == 1
        assert told[-1][0] == told[-1][1] > 0

    @pytest.mark.parametrize("odd", ODD)
    def test_is_not_broken_by_odd_matrices(self, family: str, odd: str) -> None:
        x = csr_matrix(np.array(ODD[odd], np.float32))
        learnt = SMALL[family].fit(x, seed=1, threads=1)
        check(learnt, x, SMALL[family])
        assert np.isfinite(
            ComponentScorer.from_model(ComponentConfig(SMALL[family]), learnt, x)(np.arange(x.shape[0]))
        ).all()

    def test_has_nothing_to_say_of_an_empty_matrix(self, family: str) -> None:
        x = csr_matrix((3, 4), dtype=np.float32)
        with suppress(CannotTrain):
            learnt = SMALL[family].fit(x, seed=1, threads=1)
            assert not ComponentScorer.from_model(ComponentConfig(SMALL[family]), learnt, x)(np.arange(3)).any()

    @pytest.mark.parametrize("damping", [0.0, 0.5])
    def test_answers_the_same_from_a_file(self, family: str, damping: float, tmp_path: Path) -> None:
        (folder := tmp_path / "v1").mkdir()
        bundle = bundle_of(family, damping)
        write_bundle(folder, bundle, {})
        assert answers(read_bundle(folder)) == answers(bundle)

    def test_its_neighbours_are_ascending_in_a_bundle_damped_or_not(self, family: str) -> None:
        for damping in (0.0, 0.5):
            for one in bundle_of(family, damping).neighbours:
                assert one is None or all(
                    (np.diff(one.indices[a:b]) > 0).all() for a, b in zip(one.indptr, one.indptr[1:], strict=False)
                )

    @pytest.mark.parametrize("played", [[], [999, 7], [120], [104, 104, 999]])
    def test_answers_whoever_asks(self, family: str, played: list[int]) -> None:
        """Nobody's plays, unknown tracks, the track nobody plays, the same twice."""
        ids = np.array(played, np.int64)
        query = Query(4, past=listener_history(ids), exclude=ids, track_id=999)
        ranking = recommend(bundle_of(family), query, PERSONAL)
        assert len({p.track_id for p in ranking.picks} - set(played)) == 4
        assert all(np.isfinite(p.score) for p in ranking.picks)
        assert recommend(bundle_of(family), query, SIMILAR).picks == []


@pytest.mark.parametrize(("family", "name", "value"), OUT_OF_RANGE)
def test_a_hyperparameter_out_of_range_is_named(family: str, name: str, value: Any) -> None:
    with pytest.raises(ValueError, match=rf"{family}: {name} must"):
        FAMILIES[family](**{name: value})


def test_a_fit_that_is_looked_at_ends_where_it_is_told_to() -> None:
    looks: list[int] = []
    until_the_third = FitCallbacks(should_stop=lambda done, factors: looks.append(done) or done == 3)  # type: ignore[func-returns-value]
    ended = IALS(factors=2, iterations=10).fit(matrix(), seed=1, threads=1, callbacks=until_the_third)
    assert looks == [1, 2, 3]
    short = IALS(factors=2, iterations=3).fit(matrix(), seed=1, threads=1)
    assert all(np.array_equal(a, b) for a, b in zip(arrays(ended), arrays(short), strict=True))


def check(learnt: FittedModel, x: csr_matrix, trainer: Trainer) -> None:
    """Of the right shapes, finite, float32; nothing about tracks nobody played."""
    unplayed = np.bincount(x.indices, minlength=x.shape[1]) == 0
    if learnt.factors is not None:
        users, items = learnt.factors
        assert (len(users), len(items)) == x.shape
        assert users.dtype == items.dtype == np.float32
        assert np.isfinite(users).all()
        assert np.isfinite(items).all()
        assert not items[unplayed].any()
        assert not users[np.diff(x.indptr) == 0].any()
    if (lists := learnt.neighbours) is not None:
        limit = asdict(trainer)  # type: ignore[call-overload]
        assert lists.shape == (x.shape[1], x.shape[1])
        assert lists.dtype == np.float32
        assert np.isfinite(lists.data).all()
        assert (lists.data != 0).all()
        assert not lists.diagonal().any()
        assert (np.diff(lists.indptr) <= limit.get("neighbours", limit.get("candidates"))).all()
        assert all(
            (np.diff(lists.indices[a:b]) > 0).all() for a, b in zip(lists.indptr, lists.indptr[1:], strict=False)
        )
        assert not np.diff(lists.indptr)[unplayed].any()
        assert not unplayed[lists.indices].any()


@pytest.mark.parametrize("family", ["ials", "slim"])
def test_without_numba_a_family_says_that_it_cannot_train(family: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "numba", None)
    with pytest.raises(CannotTrain, match="numba"):
        SMALL[family].fit(matrix(), seed=1, threads=1)
