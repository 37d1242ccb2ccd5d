"""The gate: decides whether a newly trained version may go into service by itself."""

from math import hypot
from typing import Any

from engine.evaluation.questions import NEW, question_report

METRIC = "ndcg@10"
MIN_LISTENERS = 50  # with fewer, bootstrap intervals are too narrow, and with one they have no width at all


def rejection_reason(candidate: dict[str, Any], serving: dict[str, Any] | None, margin: float) -> str:
    """Return why the candidate is held back, or "" if it passes.

    A candidate passes unless the numbers show that it is worse: the whole 95 % interval of the difference must lie
    below what the margin allows. NDCG@10 of a small installation varies by a third from night to night. If a single
    number decided, a version that was lucky on the night it was trained would keep its successors out for weeks.

    - If the candidate's ensemble differs from the one in service, its report has both, fitted on the same past and
      evaluated on the same listeners; the interval is that of their paired difference.
    - If the ensemble is the same, the two versions were evaluated on different nights and listeners; the interval is
      computed from those of the two reports, provided that both used the same kind of split.
    - A candidate that is worse than most popular does not replace a version that is not.

    Nothing is compared on fewer than MIN_LISTENERS listeners, see `missing_evidence`.

    Args:
        candidate: the manifest of the new version.
        serving: the manifest of the version in service, None if there is none.
        margin: the share of NDCG@10 by which the candidate may be worse.
    """
    if serving is None or missing_evidence(candidate):
        return ""
    report = question_report(candidate["report"])
    question = candidate["report"].get("question", NEW)
    serving_report = serving.get("report", {})
    if paired := report.get("differences", {}).get("in_service", {}).get(METRIC):
        serving_ndcg, difference, basis = report_ndcg(report, "in_service"), paired, ", on the same plays"
    else:
        serving_ndcg = report_ndcg(question_report(serving_report, question))
        difference, basis = _difference(candidate["report"], serving_report), ""
    if serving_ndcg is not None and difference and difference["high"] < -margin * serving_ndcg:
        return (
            f"NDCG@10 {report_ndcg(report):.4f} is worse than {serving_ndcg:.4f} in service by more than the margin of "
            f"{margin:.0%}{basis}{_difference_text(difference)}"
        )
    if is_worse_than_popular(candidate) and not is_worse_than_popular(serving):
        popular = report_ndcg(report, "most_popular")
        return (
            f"NDCG@10 {report_ndcg(report):.4f} is worse than {popular:.4f} of most popular"
            f"{_difference_text(report['differences']['most_popular'][METRIC])}"
        )
    return ""


def missing_evidence(candidate: dict[str, Any]) -> str:
    """Return why nothing can be said about the candidate's quality, or "" if it was evaluated on enough listeners."""
    listeners = question_report(candidate["report"]).get("listeners", 0)
    if listeners >= MIN_LISTENERS:
        return ""
    return f"too few judged listeners ({listeners}) to compare; the gate needs {MIN_LISTENERS}"


def is_worse_than_popular(manifest: dict[str, Any]) -> bool:
    """Return whether the 95 % interval of the difference to most popular lies below zero, on enough listeners.

    A popularity model itself is never worse than popularity.
    """
    report = question_report(manifest.get("report", {}))
    difference = report.get("differences", {}).get("most_popular", {}).get(METRIC)
    if not difference or report.get("listeners", 0) < MIN_LISTENERS:
        return False
    return bool(difference["high"] < 0 and manifest.get("algorithm") != "popularity")


def _difference(report: dict[str, Any], serving_report: dict[str, Any]) -> dict[str, float] | None:
    """Return the difference of two independent estimates with its 95 % interval; None if they cannot be compared.

    Both answer the question of the candidate's report.

    Each bound is as far from the difference as the root of the sum of the squared distances of the two estimates from
    their own bounds (Zou & Donner, "Construction of confidence limits about effect measures", 2008).
    """
    new_answer = question_report(report)
    old_answer = question_report(serving_report, report.get("question", NEW))
    new, old = _interval(new_answer), _interval(old_answer)
    same_split = report.get("split") == serving_report.get("split")
    if not (new and old and same_split and old_answer.get("listeners", 0) >= MIN_LISTENERS):
        return None
    mean = new["mean"] - old["mean"]
    return {
        "mean": mean,
        "low": mean - hypot(new["mean"] - new["low"], old["high"] - old["mean"]),
        "high": mean + hypot(new["high"] - new["mean"], old["mean"] - old["low"]),
    }


def _interval(report: dict[str, Any]) -> dict[str, float] | None:
    """Return NDCG@10 of the version with its interval; None if it was not evaluated, or by the first release."""
    value = report.get("models", {}).get("model", {}).get("metrics", {}).get(METRIC)
    return value if isinstance(value, dict) else None


def report_ndcg(report: dict[str, Any], model: str = "model") -> float | None:
    """Return NDCG@10 of one of the models of a report.

    Reports of the first release had one number per metric, without intervals and segments; they are read too.
    """
    models = report.get("models", report)
    evaluation = models.get(model, {})
    value = evaluation.get("metrics", evaluation).get(METRIC)
    return value.get("mean") if isinstance(value, dict) else value


def _difference_text(difference: dict[str, float]) -> str:
    return (
        f" (difference {difference['mean']:+.4f}, 95 % between {difference['low']:+.4f} and {difference['high']:+.4f})"
    )
