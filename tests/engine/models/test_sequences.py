from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from engine.models.sequences import SequenceFusion, SequentialRules, SessionKNN, SessionRepeats, sequence_from_arrays
from engine.models.sequences.base import SequenceModel, sum_of_equal
from engine.models.sequences.registry import register_sequence_family
from engine.models.sequences.sequence_fusion import SequenceFusionModel
from tests.engine.models.sequence_contract import ITEMS, SequenceContract, album_sessions, make_sessions, rows


class TestSequentialRules(SequenceContract):
    trainer = SequentialRules()
    invalid = [("window", 0), ("reverse", 1.5), ("prefix_decay", -0.1), ("hops", 3), ("recency", np.nan)]


class TestTransitions(SequenceContract):
    trainer = SequentialRules(window=1, reverse=0.0, prefix_decay=0.0, source_power=1.0)


class TestRulesOfRules(SequenceContract):
    trainer = SequentialRules(hops=2, source_power=1.0, distance_power=2.0, reverse=0.0, prefix_decay=0.1)

    def test_it_expects_the_next_track_of_the_album(self, model: SequenceModel) -> None:
        scored, scores = model.score(rows(6))
        assert scored[scores.argmax()] == 8  # the one after the next


class TestSessionKNN(SequenceContract):
    trainer = SessionKNN()
    invalid = [("neighbours", 0), ("sample", 0), ("prefix_decay", 2), ("length_power", -1)]


class TestSessionRepeats(SequenceContract):
    trainer = SessionRepeats()
    invalid = [("prefix_decay", 1.1)]
    repeats_only = True


class TestSequenceFusion(SequenceContract):
    trainer = SequenceFusion()
    invalid = [("components", ()), ("holdout", 0.9), ("candidates", 0)]


def scores_of(model: SequenceModel, *prefix: int) -> dict[int, float]:
    return {int(row): float(score) for row, score in zip(*model.score(rows(*prefix)), strict=True)}


def test_rules_count_the_inverse_distance_and_a_share_of_it_backwards() -> None:
    trainer = SequentialRules(reverse=0.5, prefix_decay=0.5, source_power=0.0, recency=0.0)
    model = trainer.fit(make_sessions([0, 1, 2, 3]), 4, seed=1)
    assert scores_of(model, 1) == pytest.approx({0: 0.5, 2: 1.0, 3: 0.5})
    assert scores_of(model, 1, 3) == pytest.approx({0: 0.25 + 0.5 / 3, 1: 0.25, 2: 0.5 + 0.5, 3: 0.25})


def test_transitions_are_probabilities_and_do_not_cross_sessions() -> None:
    trainer = SequentialRules(window=1, reverse=0.0, prefix_decay=0.0, source_power=1.0, recency=0.0)
    model = trainer.fit(make_sessions([0, 1, 0, 2], [0, 1], [3, 0, 1]), 4, seed=1)
    assert scores_of(model, 3, 0) == pytest.approx({1: 0.75, 2: 0.25})
    assert scores_of(model, 1) == pytest.approx({0: 1 / 3})


def test_rules_of_older_sessions_count_less() -> None:
    trainer = SequentialRules(window=1, reverse=0.0, source_power=0.0, recency=2.0)
    model = trainer.fit(make_sessions([0, 1], [0, 2], [0, 3]), 4, seed=1)
    assert scores_of(model, 0) == pytest.approx({1: np.exp(-2), 2: np.exp(-1), 3: 1.0})


def test_neighbours_vote_by_similarity_and_distance_from_the_latest_shared_track() -> None:
    trainer = SessionKNN(prefix_decay=0.5, recency=0.0, reverse=0.5)
    model = trainer.fit(make_sessions([0, 1, 2], [4, 0, 3]), 5, seed=1)
    often, seldom = np.log(1 + 2 / 2), np.log(1 + 2 / 1)
    first = 0.5 * often + seldom  # shares both tracks; the latest is 1
    assert scores_of(model, 0, 1) == pytest.approx({0: 0.5 * first, 2: first, 3: 0.5 * often, 4: 0.25 * often})


def test_of_equally_similar_sessions_the_newest_are_neighbours() -> None:
    model = SessionKNN(neighbours=2, recency=0.0).fit(make_sessions([0, 1], [0, 2], [0, 3]), 4, seed=1)
    assert scores_of(model, 0).keys() == {2, 3}


def test_only_the_newest_sessions_are_stored() -> None:
    model = SessionKNN(max_sessions=1).fit(make_sessions([0, 1], [0, 2]), 3, seed=1)
    assert scores_of(model, 0).keys() == {2}


def test_repeats_are_the_tracks_of_the_session_the_latest_first() -> None:
    model = SessionRepeats(prefix_decay=0.5).fit(make_sessions(), 4, seed=1)
    assert scores_of(model, 2, 1, 2, 3) == pytest.approx({1: 0.25, 2: 0.625, 3: 1.0})


def test_a_fusion_learns_which_component_is_right() -> None:
    # After an even track comes its successor, which the rules know; nothing is ever repeated.
    sessions = make_sessions(*[[2 * (i % 10), 2 * (i % 10) + 1] for i in range(200)])
    model = SequenceFusion(components=(SequentialRules(), SessionRepeats())).fit(sessions, 20, seed=1)
    assert isinstance(model, SequenceFusionModel)
    assert model.mixture[0] > 0.99
    scores = scores_of(model, 4)
    assert max(scores, key=scores.__getitem__) == 5
    assert sum(scores.values()) == pytest.approx(1)


def test_a_fusion_without_examples_weights_its_components_equally() -> None:
    components = (SequentialRules(), SessionRepeats())
    model = SequenceFusion(components=components, holdout=0.0).fit(make_sessions([0, 1], [0, 1, 2]), 3, seed=1)
    rules = scores_of(components[0].fit(make_sessions([0, 1], [0, 1, 2]), 3, seed=1), 0)
    expected = {0: 0.5} | {row: 0.5 * score / sum(rules.values()) for row, score in rules.items()}
    assert scores_of(model, 0) == pytest.approx(expected)


def test_tracks_below_the_candidates_of_a_fusion_come_after_them() -> None:
    few, many = (SequenceFusion(candidates=k).fit(album_sessions(), ITEMS, seed=1) for k in (2, 200))
    assert scores_of(few, 7).keys() == scores_of(many, 7).keys()
    assert isinstance(few, SequenceFusionModel)
    scores = np.sort(few.score(rows(7))[1])[::-1]
    assert (scores[:2] >= scores[2]).all()


def test_arrays_that_do_not_fit_are_refused() -> None:
    for trainer in (SequentialRules(), SessionKNN(), SequenceFusion()):
        arrays = trainer.fit(album_sessions(), ITEMS, seed=1).to_arrays()
        shortened = {name: array[:-1] for name, array in arrays.items() if name != "description"}
        with pytest.raises(ValueError, match="fit"):
            sequence_from_arrays(shortened | {"description": arrays["description"]})


def test_a_name_stands_for_one_family() -> None:
    class OtherRules(SequentialRules):
        pass

    with pytest.raises(ValueError, match="'sequential_rules' is registered already, by SequentialRules"):
        register_sequence_family(OtherRules)


@given(st.lists(st.tuples(st.integers(0, 40), st.integers(1, 99)), max_size=30), st.sampled_from([41, 5_000]))
def test_sums_of_equal_rows_are_the_same_however_many_items_there_are(
    entries: list[tuple[int, int]], items: int
) -> None:
    sums: dict[int, float] = {}
    for row, weight in entries:
        sums[row] = sums.get(row, 0.0) + weight / 7
    columns = np.array([row for row, _ in entries], np.int32), np.array([weight / 7 for _, weight in entries])
    rows_of_sums, of_rows = sum_of_equal(*columns, items)
    assert dict(zip(rows_of_sums.tolist(), of_rows.tolist(), strict=True)) == dict(sorted(sums.items()))
    assert rows_of_sums.tolist() == sorted(sums)


def test_a_fusion_stores_only_the_items_that_occur() -> None:
    few = SequenceFusion().fit(album_sessions(), ITEMS, seed=1)
    sessions = album_sessions()
    many = SequenceFusion().fit(replace(sessions, items=1_000 * sessions.items), 1_000 * ITEMS, seed=1)
    assert {name: len(array) for name, array in many.arrays().items()} == {
        name: len(array) for name, array in few.arrays().items()
    }
    expected = {1_000 * row: score for row, score in scores_of(few, 7, 8).items()}
    assert scores_of(many, 7_000, 123, 8_000) == expected


def test_a_fusion_of_an_earlier_release_stores_all_items() -> None:
    occurring = album_sessions()
    items = int(occurring.items.max()) + 1
    model = SequenceFusion().fit(occurring, items, seed=1)
    stored = model.to_arrays()
    assert len(stored.pop("rows")) == items  # each of them occurs, so that the earlier release stored the same
    assert scores_of(sequence_from_arrays(stored), 7, 8) == scores_of(model, 7, 8)
