"""Whether a version may go into service by itself."""

from typing import Any

METRIC = "ndcg@10"


def rejection_reason(candidate: dict[str, Any], serving: dict[str, Any] | None, margin: float) -> str:
    """Why `candidate` is held back, or "". Both are manifests; margin: the share of NDCG@10 it may be worse by.

    Where the candidate's recipe is another one than that in service, both were fitted on the same past and judged on
    the same future, and those are compared. Where it is the same, the reports of the two versions are, if they were
    judged on the same kind of split. Nobody to judge on: it passes. A version that is worse than most popular beyond
    doubt never takes the place of another.
    """
    if serving is None:
        return ""
    report, before = candidate["report"], serving.get("report", {})
    ours, theirs = report_ndcg(report), report_ndcg(report, "in_service")
    if ours is None:
        return ""
    beside = ", on the same plays" if theirs is not None else ""
    if theirs is None and report.get("split") == before.get("split"):
        theirs = report_ndcg(before)
    if theirs is not None and ours < theirs * (1 - margin):
        return (
            f"NDCG@10 {ours:.4f} is worse than {theirs:.4f} in service by more than the margin of {margin:.0%}"
            f"{beside}{_interval(report, 'in_service')}"
        )
    if is_worse_than_popular(candidate):
        popular = report_ndcg(report, "most_popular")
        return f"NDCG@10 {ours:.4f} is worse than {popular:.4f} of most popular{_interval(report, 'most_popular')}"
    return ""


def is_worse_than_popular(candidate: dict[str, Any]) -> bool:
    """Beyond doubt; what is popular itself is not worse than that."""
    difference = candidate["report"].get("differences", {}).get("most_popular", {}).get(METRIC)
    return bool(difference and difference["high"] < 0 and candidate.get("algorithm") != "popularity")


def report_ndcg(report: dict[str, Any], of: str = "model") -> float | None:
    """NDCG@10 of one of the models of a report, also of those written before reports had intervals."""
    models = report.get("models", report)
    metrics = models.get(of, {})
    value = metrics.get("metrics", metrics).get(METRIC)
    return value.get("mean") if isinstance(value, dict) else value


def _interval(report: dict[str, Any], other: str) -> str:
    difference = report.get("differences", {}).get(other, {}).get(METRIC)
    if not difference:
        return ""
    return (
        f" (difference {difference['mean']:+.4f}, 95 % between {difference['low']:+.4f} and {difference['high']:+.4f})"
    )
