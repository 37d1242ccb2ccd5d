from datetime import timedelta
from typing import Any

import numpy as np
from prometheus_client import REGISTRY
from rest_framework.test import APIClient

from engine.data.user_item_pairs import UserItemPairs
from recommendations.serving.model_cache import model_cache
from recommendations.serving.recommend import assign_policy
from recommendations.serving.request_context import RecommendationRequest, load_contexts
from recommendations.serving.slate import plan_slate
from recommendations.training.run import read_plays, run_training
from tests.people import NOON, CatalogueFactory


def test_serving_and_training_give_plays_the_same_confidence(catalogue: CatalogueFactory, settings: Any) -> None:
    """Likes, play counts and age have the same weight in a fold-in as in training."""
    weights = {"CONFIDENCE_LIKED": 7.0, "CONFIDENCE_TRANSFORM": "log", "CONFIDENCE_HALF_LIFE": 5.0}
    settings.MUSICREC = settings.MUSICREC | weights
    users, tracks = catalogue.checkerboard()
    catalogue.play(users[0], *tracks[:4:2], at=NOON + timedelta(days=9), plays=30)
    catalogue.play(users[0], tracks[6], at=NOON - timedelta(days=90), kind="like")
    assert run_training("test").status == "Published"
    bundle = model_cache.current().bundle
    confidence = bundle.ensemble.components[0].confidence
    pairs = UserItemPairs.from_plays(read_plays(lambda *args: None), bundle.users, bundle.items)
    trained = confidence.compute(pairs, bundle.popularity, bundle.statistics)
    contexts = load_contexts([user.pk for user in users])
    for user in users:
        request = RecommendationRequest("personal", limit=1, listener_id=user.pk)
        context = contexts[user.pk]
        plan = plan_slate(request, context, model_cache.current(), assign_policy(request, context))
        query = plan.query
        served = bundle.known_pairs(query.history)
        of_user = pairs.user == bundle.users.row(user.pk)
        np.testing.assert_array_equal(served.track, pairs.track[of_user])
        np.testing.assert_array_equal(
            confidence.compute(served, bundle.popularity, bundle.statistics), trained[of_user]
        )
    assert len(set(trained.tolist())) > 3


def test_the_time_of_a_fold_in_is_measured_only_if_there_is_one(
    service: APIClient, catalogue: CatalogueFactory
) -> None:
    users, tracks = catalogue.checkerboard()
    assert run_training("test").status == "Published"

    def fold_in_count() -> float:
        return REGISTRY.get_sample_value("musicrec_fold_in_seconds_count") or 0.0

    before = fold_in_count()
    service.get(f"/recommend/user/{users[0].pk}/ml")  # nothing new since the training: no fold-in
    assert fold_in_count() == before
    catalogue.play(users[0], tracks[0])
    service.get(f"/recommend/user/{users[0].pk}/ml")
    assert fold_in_count() == before + 1
