"""The gate: decides whether a newly trained version may go into service by itself."""

from typing import Any

METRIC = "ndcg@10"


def rejection_reason(candidate: dict[str, Any], serving: dict[str, Any] | None, margin: float) -> str:
    """Return why the candidate is held back, or "" if it passes.

    If the candidate's ensemble differs from the one in service, its report has both, fitted on the same past and
    evaluated on the same future; these two numbers are compared. Otherwise the reports of the two versions are
    compared, provided that both used the same kind of split. A candidate without an evaluation passes, since there is
    nothing to compare. A candidate that is significantly worse than most popular never replaces another version.

    Args:
        candidate: the manifest of the new version.
        serving: the manifest of the version in service, None if there is none.
        margin: the share of NDCG@10 by which the candidate may be worse.
    """
    if serving is None:
        return ""
    report, serving_report = candidate["report"], serving.get("report", {})
    ndcg, serving_ndcg = report_ndcg(report), report_ndcg(report, "in_service")
    if ndcg is None:
        return ""
    basis = ", on the same plays" if serving_ndcg is not None else ""
    if serving_ndcg is None and report.get("split") == serving_report.get("split"):
        serving_ndcg = report_ndcg(serving_report)
    if serving_ndcg is not None and ndcg < serving_ndcg * (1 - margin):
        return (
            f"NDCG@10 {ndcg:.4f} is worse than {serving_ndcg:.4f} in service by more than the margin of {margin:.0%}"
            f"{basis}{_difference_text(report, 'in_service')}"
        )
    if is_worse_than_popular(candidate):
        popular = report_ndcg(report, "most_popular")
        return (
            f"NDCG@10 {ndcg:.4f} is worse than {popular:.4f} of most popular{_difference_text(report, 'most_popular')}"
        )
    return ""


def is_worse_than_popular(candidate: dict[str, Any]) -> bool:
    """Return whether the 95 % interval of the difference to most popular lies below zero.

    A popularity model itself is never worse than popularity.
    """
    difference = candidate["report"].get("differences", {}).get("most_popular", {}).get(METRIC)
    return bool(difference and difference["high"] < 0 and candidate.get("algorithm") != "popularity")


def report_ndcg(report: dict[str, Any], model: str = "model") -> float | None:
    """Return NDCG@10 of one of the models of a report.

    Reports of the first release had one number per metric, without intervals and segments; they are read too.
    """
    models = report.get("models", report)
    evaluation = models.get(model, {})
    value = evaluation.get("metrics", evaluation).get(METRIC)
    return value.get("mean") if isinstance(value, dict) else value


def _difference_text(report: dict[str, Any], other: str) -> str:
    difference = report.get("differences", {}).get(other, {}).get(METRIC)
    if not difference:
        return ""
    return (
        f" (difference {difference['mean']:+.4f}, 95 % between {difference['low']:+.4f} and {difference['high']:+.4f})"
    )
