from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from engine.bundle.model_bundle import ModelBundle
from engine.models.ials import IALS
from engine.models.rp3beta import RP3Beta
from engine.retrieval.candidates import CF, CONTENT, HYBRID, SCORERS, SIMILARITIES, SOURCES, Query
from engine.retrieval.similar import find_similar_by_content
from engine.training import train
from tests.engine.content_world import is_new, tag_features, tag_plays, track_ids, track_tags
from tests.engine.factories import make_config

PLAYED, NEW = 500, 511  # both of tag 0


@pytest.fixture(scope="module", params=[IALS(factors=4, iterations=6), RP3Beta()], ids=["factors", "neighbours"])
def bundle(request: pytest.FixtureRequest) -> ModelBundle:
    config = make_config(request.param)
    return train(tag_plays(), track_ids(), config, version="v1", content=tag_features()).bundle


def ask(bundle: ModelBundle, track: int, kind: str, k: int = 8) -> tuple[list[int], Any]:
    query = Query(limit=k, track_id=track, similarity=kind)
    with bundle.workspaces.borrow() as workspace:
        workspace.exclude(bundle.items.known_rows([track]), 2)
        rows, scores = SOURCES["similar"](bundle, query, workspace, k)
        np.testing.assert_allclose(SCORERS["similar"](bundle, query, workspace, rows), scores, atol=1e-5)
    return bundle.items.ids[rows].tolist(), scores


def tags_of(ids: list[int]) -> set[int]:
    return {int(track_tags()[i - 500]) for i in ids}


@pytest.mark.parametrize("kind", SIMILARITIES)
def test_tracks_similar_to_a_played_one_have_its_tag(bundle: ModelBundle, kind: str) -> None:
    ids, scores = ask(bundle, PLAYED, kind)
    assert tags_of(ids) == {0}
    assert (np.diff(scores) <= 0).all()
    assert len(ids) == 8


@pytest.mark.parametrize("kind", [CONTENT, HYBRID])
def test_a_track_that_nobody_played_has_similar_tracks_by_content(bundle: ModelBundle, kind: str) -> None:
    assert tags_of(ask(bundle, NEW, kind)[0]) == {0}


def test_by_plays_an_unplayed_track_has_none_and_is_none(bundle: ModelBundle) -> None:
    assert ask(bundle, NEW, CF)[0] == []
    new = set(track_ids()[is_new()])
    assert not new & set(ask(bundle, PLAYED, CF, k=40)[0])
    for kind in (CONTENT, HYBRID):
        assert new & set(ask(bundle, PLAYED, kind, k=40)[0])


def test_what_made_tracks_similar_is_content_where_plays_say_nothing_or_less(bundle: ModelBundle) -> None:
    ids = ask(bundle, PLAYED, HYBRID, k=40)[0]
    by_plays = set(ask(bundle, PLAYED, CF, k=40)[0])
    flags = dict(zip(ids, find_similar_by_content(bundle, Query(40, track_id=PLAYED), ids).tolist(), strict=True))
    assert all(flags[track_id] for track_id in ids if track_id not in by_plays)
    if bundle.auxiliary is None:
        assert not any(flags[track_id] for track_id in ids if track_id in by_plays)
    assert not find_similar_by_content(bundle, Query(40, track_id=PLAYED, similarity=CF), list(by_plays)).any()
    for track, kind, expected in ((PLAYED, CONTENT, True), (NEW, HYBRID, True), (9, HYBRID, False)):
        query = Query(40, track_id=track, similarity=kind)
        assert find_similar_by_content(bundle, query, ids).tolist() == [expected] * len(ids)


def test_an_unknown_track_and_a_version_without_content_fall_back(bundle: ModelBundle) -> None:
    without = replace(bundle, content=None)
    for kind in SIMILARITIES:
        assert ask(bundle, 9, kind)[0] == []
        assert ask(without, PLAYED, kind)[0] == ask(without, PLAYED, CF)[0]
        assert ask(without, NEW, kind)[0] == []
