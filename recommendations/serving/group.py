"""One slate for several listeners."""

import time
from collections.abc import Sequence
from dataclasses import replace
from typing import Any, NamedTuple

import numpy as np
import orjson
from django.utils import timezone

from engine.pipeline import GROUP
from engine.retrieval.candidates import Group, Member, Query
from experiments.exposures.log import SlateRecord, slate_log
from experiments.exposures.recommendation_ids import new_recommendation_id
from recommendations import metrics
from recommendations.serving.explanations import explain_to_group
from recommendations.serving.filters import build_group_filters
from recommendations.serving.model_cache import LoadedModel
from recommendations.serving.recommend import assign_policy, model_for
from recommendations.serving.request_context import RecommendationRequest, RequestContext
from recommendations.serving.response import describe_slate, render_results
from recommendations.serving.slate import RankedSlate, SlatePlan, build_slate, plan_slate


class GroupListener(NamedTuple):
    """A listener of a group.

    Attributes:
        name: the members of JSON objects that say who it is.
        context: what is known of them.
    """

    name: dict[str, Any]
    context: RequestContext


class GroupAnswer(NamedTuple):
    """An answer, ready to be sent, and the strategy by which metrics count it."""

    strategy: str
    body: bytes


def recommend_to_group(
    options: RecommendationRequest, strategy: str, listeners: Sequence[GroupListener]
) -> GroupAnswer:
    """Answer with one slate that no listener of a group has an objection to.

    What one of them blocks, dislikes or may not be offered is not on it. Known tracks are those that anybody knows. The
    slate depends on all of their revisions, and is not cached. It is logged for no listener, like similar tracks: an
    event that refers to it says whose it is. Engagement counts it if all of them have consented.

    Args:
        options: what the listeners have in common, of the kind "personal".
        strategy: one of `engine.retrieval.candidates.GROUP_STRATEGIES`.
        listeners: at least one.
    """
    model = model_for(options, listeners[0].context)
    plans = []
    for _, context in listeners:
        request = options._replace(listener_id=context.listener_id)
        plans.append(plan_slate(request, context, model, assign_policy(request, context)))
    slate = build_slate(_plan_for_all(options, strategy, [context for _, context in listeners], model, plans))
    metrics.answers.labels(slate.ranking.strategy, str(model.problem is not None).lower()).inc()
    return _render(options, strategy, listeners, model, plans, slate)


def _plan_for_all(
    options: RecommendationRequest,
    strategy: str,
    contexts: Sequence[RequestContext],
    model: LoadedModel,
    plans: Sequence[SlatePlan],
) -> SlatePlan:
    """Merge the plans for each member: dials, caps and length are those of the policy for listeners in use."""
    queries = [plan.query for plan in plans]
    members = [Member(plan.query, tuple(plan.policy.sources)) for plan in plans]
    filters = build_group_filters(options, contexts)
    query = Query(
        options.limit,
        seed=sum(query.seed for query in queries) % 2**63,
        exclude=np.unique(np.concatenate([query.exclude for query in queries])),
        forbidden=np.unique(np.concatenate([query.forbidden for query in queries])),
        unavailable=filters.unavailable,
        # Each listener's sliders count by their share of the group.
        sliders=tuple(slider._replace(value=slider.value / len(queries)) for q in queries for slider in q.sliders),
        group=Group(tuple(members), strategy),
        now=int(time.time()),
    )
    policy = contexts[0].policies["personal"]
    dials = replace(policy.dials, context=0.0)  # the hours of one member say nothing about the others
    policy = replace(policy, sources=GROUP.sources, fill=GROUP.fill, dials=dials)
    reasons = {plan.fallback_reason for plan in plans}
    fallback_reason = None if None in reasons else "no_consent" if "no_consent" in reasons else "cold_user"
    return SlatePlan(model, policy, query, filters, fallback_reason)


def _render(
    options: RecommendationRequest,
    strategy: str,
    listeners: Sequence[GroupListener],
    model: LoadedModel,
    plans: Sequence[SlatePlan],
    slate: RankedSlate,
) -> GroupAnswer:
    """Render the answer, and log its slate."""
    recommendation_id, now = new_recommendation_id(), timezone.now()
    names = [listener.name for listener in listeners]
    reasons: dict[int, list[dict[str, Any]]] = {}
    if options.explain:
        queries, revision = [plan.query for plan in plans], listeners[0].context.revisions.catalogue
        of_members = explain_to_group(model.bundle, queries, slate.ranking, slate.cards, revision)
        reasons = {
            track_id: [name | reason for name, reason in zip(names, of_track, strict=True)]
            for track_id, of_track in of_members.items()
        }
    head = orjson.dumps(
        {
            "recommendation_id": recommendation_id,
            "generated_at": now,
            **describe_slate(slate, model),
            "next": None,
            "aggregation": strategy,
            "listeners": [
                name | {"fallback_reason": plan.fallback_reason} for name, plan in zip(names, plans, strict=True)
            ],
        },
        option=orjson.OPT_UTC_Z,
    )
    slate_log.add(
        SlateRecord(
            recommendation_id,
            user_id=None,
            strategy=slate.ranking.strategy,
            model_version=model.bundle.version or "",
            placement=options.placement,
            track_ids=[pick.track_id for pick in slate.ranking.picks],
            shown_at=now,
            policy=slate.policy,
            is_counted=all(context.settings.consent for _, context in listeners),
        )
    )
    results = render_results(slate, "explanations", reasons)
    return GroupAnswer(slate.ranking.strategy, head[:-1] + b',"results":[' + results + b"]}")
