"""Served and evaluated scores agree in worlds so small that every degenerate case occurs."""

from __future__ import annotations

import numpy as np
import pytest

from engine.bundle.model_bundle import assemble_bundle
from engine.data.confidence import PlayStatistics
from engine.data.id_map import IdMap
from engine.data.plays import Plays
from engine.data.user_item_pairs import UserItemPairs, count_listeners
from engine.ensemble import ComponentConfig, EnsembleConfig
from engine.fitting import fit_ensemble
from engine.models import FAMILIES
from engine.pipeline import recommend
from engine.retrieval.candidates import Query
from engine.retrieval.personal import personal_score_terms
from tests.engine.factories import ONLY_NEW, all_scores

WORLDS = {
    "one listener, one track": [[0]],
    "one listener, three tracks": [[0, 1, 2]],
    "three listeners, one track": [[0], [0], [0]],
    "identical listeners": [[0, 1, 2], [0, 1, 2], [0, 1, 2], [0, 1, 2]],
    "disjoint listeners": [[0], [1], [2, 3], [4]],
    "everyone played everything": [[0, 1, 2, 3, 4]] * 6,
    "two groups": [[0, 1], [0, 1, 2], [3, 4], [3, 4, 5]],
    "more factors than tracks": [[0, 1, 3], [1, 2], [0, 2, 3], [3]],
}
OPTIONS = {"factors": 8, "iterations": 10}


def component(family: str) -> ComponentConfig:
    trainer = FAMILIES[family]
    return ComponentConfig(trainer(**{n: v for n, v in OPTIONS.items() if n in trainer.__dataclass_fields__}))


ENSEMBLES = [
    *((name,) for name in FAMILIES),
    *((name, "popularity") for name in FAMILIES if name != "popularity"),
    *((name, "rp3beta") for name in FAMILIES if name != "rp3beta"),
    ("ials", "slim", "linear_autoencoder", "popularity"),
]


@pytest.mark.parametrize("world", WORLDS)
@pytest.mark.parametrize("families", ENSEMBLES, ids="+".join)
def test_served_scores_equal_evaluated_ones(families: tuple[str, ...], world: str) -> None:
    plays = Plays.from_rows((u, 10 + t, 1, True, 1_700_000_000) for u, row in enumerate(WORLDS[world]) for t in row)
    users, items = IdMap.from_ids(plays.user), IdMap.from_ids(plays.track)
    pairs = UserItemPairs.from_plays(plays, users, items)
    shape = len(users), len(items)
    fitted = fit_ensemble(pairs, shape, EnsembleConfig(tuple(map(component, families))), seed=1, threads=1)
    bundle = assemble_bundle(
        version="v",
        items=items,
        popularity=count_listeners(pairs, len(items)),
        ensemble=fitted.ensemble,
        fitted_models=fitted.models,
        users=users,
        statistics=PlayStatistics.from_pairs(pairs),
    )
    evaluated = fitted.build_scorer()(np.arange(len(users)))
    assert not np.isnan(evaluated).any()
    for user in range(len(users)):
        history = UserItemPairs.from_listener(plays.where(plays.user == user))
        query = Query(len(items), user_row=user, history=history)
        with bundle.workspaces.borrow() as workspace:
            terms = personal_score_terms(bundle, query, workspace)
        picks = recommend(bundle, query, ONLY_NEW).picks
        assert all(np.isfinite(pick.score) for pick in picks)
        if terms is None:  # popular tracks are served
            assert {pick.source for pick in picks} <= {"popular"}
            popular = np.argsort(bundle.popularity)
            assert (np.diff(evaluated[user][popular][np.isfinite(evaluated[user][popular])]) >= 0).all()
        else:
            # A single component does not offer tracks without a score; others may have one as small as rounding.
            served = np.nan_to_num(all_scores(terms, bundle), neginf=0)
            np.testing.assert_allclose(served, np.nan_to_num(evaluated[user], neginf=0), rtol=1e-3, atol=1e-4)
