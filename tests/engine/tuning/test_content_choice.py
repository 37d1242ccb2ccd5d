from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from engine.bundle.factor_space import ContentParameters
from engine.data.content_features import ContentFeatures
from engine.data.id_map import IdMap
from engine.data.plays import Plays
from engine.ensemble import ComponentConfig, EnsembleConfig
from engine.models.ials import IALS
from engine.models.rp3beta import RP3Beta
from engine.training import train
from engine.tuning.content_choice import HALF_LISTENERS, RIDGES, SCALES, choose_content
from tests.engine.content_world import tag_features, tag_plays, track_ids
from tests.engine.factories import make_config

TRACKS, LISTENERS = 400, 160
FACTORS, VOTES = IALS(factors=4, iterations=4), RP3Beta()


def larger_world() -> tuple[Plays, ContentFeatures]:
    """Return plays of 400 tracks with 4 tags, and the tags."""
    rng = np.random.default_rng(1)
    rows = [
        (listener, int(track), 1, True, 0)
        for listener in range(LISTENERS)
        for track in 4 * rng.permutation(TRACKS // 4)[:30] + listener % 4
    ]
    world = tag_features()
    tags = world.of_tracks(track_ids()[np.arange(4) * 12])  # one track of each tag
    of_track = np.arange(TRACKS) % 4
    features = ContentFeatures(np.arange(TRACKS), tags.columns, tags.sparse[of_track], tags.dense[of_track])
    return Plays.from_rows(rows), features


def choose(trainer: Any, content: ContentFeatures | None = None) -> Any:
    plays, features = larger_world()
    ensemble = EnsembleConfig((ComponentConfig(trainer),))
    return choose_content(plays, IdMap.from_ids(np.arange(TRACKS)), ensemble, content or features, seed=2, threads=1)


@pytest.mark.parametrize("trainer", [FACTORS, VOTES])
def test_parameters_are_chosen_on_hidden_tracks_and_known_ones_lose_hardly_anything(trainer: Any) -> None:
    choice = choose(trainer)
    parameters, report = choice.parameters, choice.report
    assert parameters.map.ridge in RIDGES
    assert {parameters.scale_few, parameters.scale_many} <= set(SCALES)
    assert parameters.half_listeners in HALF_LISTENERS
    assert report["parameters"] == parameters.to_dict()
    assert report["listeners"] > 0.9 * LISTENERS
    assert report["hidden_tracks"] > 20
    assert report["new_ndcg@10"] > 0.25  # a listener has played 30 % of their tag; at random it would be 0.075
    assert report["known_with_new_ndcg@10"] > 0.9 * report["known_ndcg@10"]


def test_the_same_seed_chooses_the_same() -> None:
    assert choose(FACTORS) == choose(FACTORS)


def test_with_few_listeners_or_tracks_the_defaults_are_kept_and_the_report_says_why() -> None:
    content = tag_features()
    ensemble = EnsembleConfig((ComponentConfig(FACTORS),))
    few = tag_plays()
    choice = choose_content(few.where(few.user < 9), IdMap.from_ids(track_ids()), ensemble, content, threads=1)
    assert choice.parameters == ContentParameters()
    assert "too few to choose by" in choice.report["reason"]


def test_content_of_no_track_can_be_chosen_with_too() -> None:
    choice = choose(FACTORS, ContentFeatures.empty(np.arange(TRACKS)))
    assert choice.report["known_with_new_ndcg@10"] == pytest.approx(choice.report["known_ndcg@10"])


def test_training_uses_what_it_chose_on_the_past_and_reports_it() -> None:
    plays, features = larger_world()
    dated = replace(plays, time=np.arange(len(plays))[::-1] % 97 * 86_400)
    trained = train(dated, np.arange(TRACKS), make_config(FACTORS), version="v1", content=features)
    assert trained.bundle.content is not None
    assert trained.judged is not None
    assert trained.judged.content is not None
    assert trained.manifest["content"]["parameters"] == trained.bundle.content.parameters.to_dict()
    assert trained.judged.content.parameters == trained.bundle.content.parameters
    without = train(dated, np.arange(TRACKS), make_config(FACTORS), version="v1")
    assert (without.manifest["content"], without.bundle.content) == (None, None)
