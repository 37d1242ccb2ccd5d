"""One slate as a listener would get it now, with a record of how it came about. Nothing is logged, cached or stored."""

from contextlib import nullcontext
from dataclasses import dataclass, field, replace
from time import perf_counter
from typing import Any

from engine.pipeline import Policy, Trace
from engine.pipeline import recommend as rank_tracks
from recommendations.models import Listener
from recommendations.serving.explanations import explain_picks
from recommendations.serving.model_cache import LoadedModel
from recommendations.serving.recommend import assign_policy
from recommendations.serving.request_context import RecommendationRequest, RequestContext
from recommendations.serving.slate import RankedSlate, SlatePlan, build_slate, plan_slate


@dataclass(frozen=True)
class TracedSlate:
    """A slate and its record.

    Attributes:
        requested: the policy that was asked for, or assigned to the listener.
        plan: what the engine was asked, and by which policy.
        trace: what it did.
        slate: the answer.
        explanations: of each pick, by track id, as the API shows them.
        seconds: of the stages beside those of the engine.
    """

    requested: Policy
    plan: SlatePlan
    trace: Trace
    slate: RankedSlate
    explanations: dict[int, dict[str, Any]]
    seconds: dict[str, float] = field(default_factory=dict)


def plan_for(
    listener: Listener, context: RequestContext, model: LoadedModel, chosen: Policy | None, limit: int
) -> tuple[SlatePlan, Policy]:
    """Plan a slate as a request for the listener's own tracks would, and return the policy that was asked for.

    Args:
        chosen: the policy to use, also for a listener whom another one would answer; None for the one that would.
        limit: the number of tracks.
    """
    request = RecommendationRequest("personal", limit, listener.pk, explain=True)
    requested = chosen or assign_policy(request, context)
    plan = plan_slate(request, context, model, requested)
    query = replace(plan.query, time_fold_in=nullcontext)  # the metrics are about requests of listeners
    return replace(plan, policy=chosen or plan.policy, query=query), requested


def trace_slate(plan: SlatePlan, requested: Policy, context: RequestContext) -> TracedSlate:
    """Build the slate of a plan, and record how."""
    trace, seconds = Trace(timer=perf_counter), {}
    ranking = rank_tracks(plan.model.bundle, plan.query, plan.policy, trace)
    started = perf_counter()
    slate = build_slate(plan, ranking)
    seconds["cards"] = perf_counter() - started
    started = perf_counter()
    bundle, revision = plan.model.bundle, context.revisions.catalogue
    explanations = explain_picks(bundle, slate.query, slate.ranking, slate.cards, revision)
    seconds["explanations"] = perf_counter() - started
    return TracedSlate(requested, plan, trace, slate, explanations, seconds)
