"""Many queries at once."""

from collections.abc import Sequence

from engine.bundle import ModelBundle
from engine.serving.candidates import Query
from engine.serving.pipeline import Policy, Ranking, recommend


def recommend_many(bundle: ModelBundle, queries: Sequence[Query], policy: Policy) -> list[Ranking]:
    return [recommend(bundle, query, policy) for query in queries]
