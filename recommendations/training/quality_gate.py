"""The gate: decides whether a newly trained version may go into service by itself."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from math import hypot
from typing import Any

from engine.evaluation.questions import ALL, NEW, REPEATS, question_report
from engine.training import RECIPE, VERSION

METRIC = "ndcg@10"
MIN_LISTENERS = 50  # with fewer, bootstrap intervals are too narrow, and with one they have no width at all
REQUIRED_ERRORS = 2.0  # by so many standard errors another recipe must win; `benchmarks.gate` compares other numbers
MAX_VERSIONS = 14  # a slow decline is looked for over so many versions of the same recipe
INTERVAL_ERRORS = 1.96  # half the width of a 95 % interval, in standard errors
POPULAR, REPORT, SEQUENCE = "popular", "report", "sequence"
RELEVANT = {NEW: "new tracks", ALL: "all tracks", REPEATS: "repeats"}  # what the NDCG of a question is for


@dataclass(frozen=True)
class Difference:
    """A difference in NDCG@10 between two models, with its standard error and 95 % interval."""

    mean: float
    standard_error: float
    low: float
    high: float

    @classmethod
    def from_interval(cls, interval: dict[str, float]) -> Difference:
        """Read a difference of a report, whose 95 % interval also gives the standard error."""
        mean, low, high = interval["mean"], interval["low"], interval["high"]
        return cls(mean, round((high - low) / (2 * INTERVAL_ERRORS), 6), low, high)

    @classmethod
    def from_error(cls, mean: float, standard_error: float) -> Difference:
        width = INTERVAL_ERRORS * standard_error
        return cls(*(round(value, 6) for value in (mean, standard_error, mean - width, mean + width)))

    def __str__(self) -> str:
        return (
            f"{self.mean:+.4f}, standard error {self.standard_error:.4f}, "
            f"95 % between {self.low:+.4f} and {self.high:+.4f}"
        )


@dataclass(frozen=True)
class Decision:
    """What the gate decided about a version, and why; the manifest of the version keeps it as "gate".

    Attributes:
        passed: whether the version may go into service by itself.
        reason: one sentence with the numbers.
        compared_with: what the difference is to: `POPULAR`, `RECIPE` in service, fitted on the same past, the `VERSION`
            in service itself, on the same plays, or its `REPORT`; "" if nothing was compared. `SEQUENCE` if the version
            is held back because of its sequence model, whose numbers are in the reason.
        version: the version in service.
        listeners: how many listeners the difference is the mean of.
        difference: to what it was compared with.
        versions: the number of versions of the same recipe in `sum`, this one included.
        sum: the sum of their differences, each to the version before it.
    """

    passed: bool
    reason: str
    compared_with: str = ""
    version: str | None = None
    listeners: int = 0
    difference: Difference | None = None
    versions: int = 0
    sum: Difference | None = None

    def to_dict(self) -> dict[str, Any]:
        """Return the decision, ready for JSON."""
        return asdict(self)


def decide(
    candidate: dict[str, Any], serving: dict[str, Any] | None, margin: float, earlier: Sequence[Difference] = ()
) -> Decision:
    """Decide whether a version may go into service by itself.

    - A version that is worse than most popular is held back, the first one included: popular tracks serve until
      something is better.
    - A version with another recipe than the one in service is held back unless it wins: its report has both, fitted on
      the same past and evaluated on the same listeners, and the mean difference must be above REQUIRED_ERRORS standard
      errors. A search that tries many recipes always finds one that looks better by chance.
    - A version with the same recipe passes unless it is worse: it is held back if the whole 95 % interval of the
      difference lies below what the margin allows. The version in service is evaluated on the same plays as the new
      one; for a slow decline, the differences of the last versions are added up. Without such an evaluation, the
      difference is computed from the reports of the two versions, provided that both used the same kind of split.

    Nothing is compared on fewer than MIN_LISTENERS listeners. The same recipe then passes, another one does not.

    Args:
        candidate: the manifest of the new version.
        serving: the manifest of the version in service, None if there is none.
        margin: the share of NDCG@10 by which the candidate may be worse. With 1, only versions that are worse than most
            popular are held back.
        earlier: the differences of the version in service and of those before it, see `earlier_difference`, each to the
            version before, as long as they have the same recipe; the newest first.
    """
    report = question_report(candidate["report"])
    listeners, ndcg = report.get("listeners", 0), report_ndcg(candidate["report"])
    metric = metric_name(candidate["report"])
    if is_worse_than_popular(candidate):
        popular, difference = report_ndcg(candidate["report"], "most_popular"), _difference(report, "most_popular")
        reason = f"{metric} {ndcg:.4f} is worse than {popular:.4f} of most popular (difference {difference})"
        return Decision(False, reason, POPULAR, None, listeners, difference)
    if serving is None:
        return Decision(True, "there was no version in service that it could be compared with")
    version, is_other_recipe = serving.get("version"), _compares_recipes(candidate["report"])
    if listeners < MIN_LISTENERS:
        reason = f"too few judged listeners ({listeners}) to compare; the gate needs {MIN_LISTENERS}"
        if not listeners:
            reason = explain_no_listeners(candidate["report"])
        if is_other_recipe and margin < 1:
            reason += ". Another recipe than the one in service is published only if it is better, or by an operator"
            return Decision(False, reason, RECIPE, version, listeners)
        return Decision(True, reason, version=version, listeners=listeners)
    if is_other_recipe:
        return _decide_about_other_recipe(candidate["report"], version, margin)
    if difference := _difference(report, "in_service"):
        return _decide_about_same_recipe(candidate["report"], difference, version, margin, earlier)
    return _decide_from_reports(candidate["report"], serving, margin)


def earlier_difference(manifest: dict[str, Any]) -> Difference | None:
    """Return the difference of a version to the one before it, if they have the same recipe and were compared.

    None as well for a version that the gate held back: if it serves, an operator has accepted its loss, which must not
    hold back the versions after it.
    """
    gate = manifest.get("gate") or {}
    if gate.get("compared_with") != VERSION or not gate.get("difference") or not gate.get("passed"):
        return None
    return Difference(**gate["difference"])


def is_worse_than_popular(manifest: dict[str, Any]) -> bool:
    """Return whether the 95 % interval of the difference to most popular lies below zero, on enough listeners.

    A popularity model itself is never worse than popularity.
    """
    report = question_report(manifest.get("report", {}))
    difference = _difference(report, "most_popular")
    if not difference or report.get("listeners", 0) < MIN_LISTENERS:
        return False
    return difference.high < 0 and manifest.get("algorithm") != "popularity"


def report_ndcg(report: dict[str, Any], model: str = "model", question: str | None = None) -> float | None:
    """Return NDCG@10 of one of the models of a report, by default for the question that the version was chosen for.

    Reports of the first release had one number per metric, without intervals and segments; they are read too.
    """
    judged = question_report(report, question)
    models = judged.get("models", judged)
    evaluation = models.get(model, {})
    value = evaluation.get("metrics", evaluation).get(METRIC)
    return value.get("mean") if isinstance(value, dict) else value


def metric_name(report: dict[str, Any]) -> str:
    """Return the name of the metric that decides, with the question, so that numbers of two are not confused."""
    return f"NDCG@10 for {RELEVANT[report.get('question', NEW)]}"


def explain_no_listeners(report: dict[str, Any]) -> str:
    """Return why a report has no judged listeners."""
    question = report.get("question", NEW)
    relevant = "plays" if question == ALL else RELEVANT[question]
    return f"nobody could be judged: no listener has plays before the split and {relevant} after it"


def _compares_recipes(report: dict[str, Any]) -> bool:
    """Return whether the report has the recipe in service because it is another one.

    Reports of older releases never had the version in service for another reason.
    """
    is_compared = bool(_difference(question_report(report), "in_service"))
    return bool(report.get("comparison", RECIPE if is_compared else "") == RECIPE)


def _decide_about_other_recipe(report: dict[str, Any], version: str | None, margin: float) -> Decision:
    judged, windows = question_report(report), report.get("windows", [])
    difference, listeners = _difference(judged, "in_service"), judged["listeners"]
    assert difference is not None  # it was evaluated on enough listeners
    where = f"on the same {listeners:,} listeners"
    if windows:
        difference = pool_windows(windows)
        where += f", in {len(windows)} windows of their plays"
    ndcg, serving_ndcg = report_ndcg(report), report_ndcg(report, "in_service")
    numbers = (
        f"{metric_name(report)} {ndcg:.4f} against {serving_ndcg:.4f} of the recipe in service, {where} "
        f"(difference {difference})"
    )
    if wins(difference) or margin >= 1:
        return Decision(True, numbers, RECIPE, version, listeners, difference)
    reason = (
        f"another recipe must win by more than {REQUIRED_ERRORS:g} standard errors, and this one does not: {numbers}"
    )
    return Decision(False, reason, RECIPE, version, listeners, difference)


def wins(difference: Difference) -> bool:
    """Return whether a recipe is better than the one in service beyond chance."""
    return difference.mean > REQUIRED_ERRORS * difference.standard_error


def pool_windows(windows: Sequence[dict[str, float]]) -> Difference:
    """Return the mean difference over several windows of plays, see `compare_in_windows`.

    Listeners have plays in several windows. Treating these as independent made the standard error at most 2 % too small
    in `benchmarks.gate`.
    """
    total = sum(window["listeners"] for window in windows)
    mean = sum(window["listeners"] * window["mean"] for window in windows) / total
    error = hypot(*(window["listeners"] * window["standard_error"] / total for window in windows))
    return Difference.from_error(mean, error)


def _decide_about_same_recipe(
    report: dict[str, Any], difference: Difference, version: str | None, margin: float, earlier: Sequence[Difference]
) -> Decision:
    ndcg, serving_ndcg = report_ndcg(report), report_ndcg(report, "in_service")
    listeners = question_report(report)["listeners"]
    assert ndcg is not None
    assert serving_ndcg is not None
    sums = _cumulative_sums([difference, *earlier[: MAX_VERSIONS - 1]])
    losses = [total for total in enumerate(sums, 1) if total[1].high < -margin * serving_ndcg]
    versions, total = losses[0] if losses else (len(sums), sums[-1])
    numbers = (
        f"{metric_name(report)} {ndcg:.4f} against {serving_ndcg:.4f} of the version in service, on the same "
        f"{listeners:,} listeners (difference {difference})"
    )
    decision = Decision(not losses, numbers, VERSION, version, listeners, difference, versions, total)
    if not losses:
        return decision
    if versions == 1:
        reason = f"worse than the version in service by more than the margin of {margin:.0%}: {numbers}"
    else:
        reason = (
            f"worse by more than the margin of {margin:.0%} over the last {versions} versions of this recipe, each "
            f"compared with the one before it on the same plays (sum of the differences: {total})"
        )
    return replace(decision, reason=reason)


def _cumulative_sums(differences: Sequence[Difference]) -> list[Difference]:
    """Return the sum of the first difference, of the first two, and so on, with the variances added."""
    sums = []
    for number in range(1, len(differences) + 1):
        mean = sum(difference.mean for difference in differences[:number])
        sums.append(Difference.from_error(mean, hypot(*(d.standard_error for d in differences[:number]))))
    return [differences[0], *sums[1:]]


def _decide_from_reports(report: dict[str, Any], serving: dict[str, Any], margin: float) -> Decision:
    version, listeners = serving.get("version"), question_report(report)["listeners"]
    if obstacle := _obstacle_to_comparing(report, serving.get("report", {})):
        return Decision(True, f"it cannot be compared with the version in service: {obstacle}", version=version)
    difference = _difference_of_reports(report, serving["report"])
    ndcg, serving_ndcg = report_ndcg(report), report_ndcg(serving["report"], question=report.get("question"))
    assert serving_ndcg is not None  # there is no obstacle
    metric, why = metric_name(report), report.get("not_evaluated")
    numbers = f"{serving_ndcg:.4f} in the report of the version in service (difference {difference})"
    if why:
        numbers += f", which could not be evaluated on the same plays: {why}"
    if difference.high < -margin * serving_ndcg:
        reason = f"{metric} {ndcg:.4f} is worse, by more than the margin of {margin:.0%}, than {numbers}"
        return Decision(False, reason, REPORT, version, listeners, difference)
    return Decision(True, f"{metric} {ndcg:.4f} against {numbers}", REPORT, version, listeners, difference)


def _obstacle_to_comparing(report: dict[str, Any], serving_report: dict[str, Any]) -> str:
    """Return why the reports of two versions cannot be compared, a clause for the operator; "" if they can."""
    judged, serving_judged = question_report(report), question_report(serving_report, report.get("question"))
    if ("questions" in report) != ("questions" in serving_report):
        return "its report is one of an older release, which did not evaluate what is served"
    if (listeners := serving_judged.get("listeners", 0)) < MIN_LISTENERS:
        return f"its report is about {listeners} listeners, and the gate needs {MIN_LISTENERS}"
    if not (_interval(judged) and _interval(serving_judged)):
        return "its report is one of an older release, without intervals"
    if report["split"] != serving_report["split"]:
        return f"its report is about a {serving_report['split']} split, and this one about a {report['split']} split"
    return ""


def _difference_of_reports(report: dict[str, Any], serving_report: dict[str, Any]) -> Difference:
    """Return the difference of two independent estimates with its 95 % interval.

    Each bound is as far from the difference as the root of the sum of the squared distances of the two estimates from
    their own bounds (Zou & Donner, "Construction of confidence limits about effect measures", 2008).
    """
    new = _interval(question_report(report))
    old = _interval(question_report(serving_report, report.get("question")))
    assert new
    assert old
    mean = new["mean"] - old["mean"]
    return Difference.from_interval(
        {
            "mean": mean,
            "low": mean - hypot(new["mean"] - new["low"], old["high"] - old["mean"]),
            "high": mean + hypot(new["high"] - new["mean"], old["mean"] - old["low"]),
        }
    )


def _interval(report: dict[str, Any]) -> dict[str, float] | None:
    """Return NDCG@10 of the version with its interval; None if it was not evaluated, or by the first release."""
    value = report.get("models", {}).get("model", {}).get("metrics", {}).get(METRIC)
    return value if isinstance(value, dict) else None


def _difference(report: dict[str, Any], other: str) -> Difference | None:
    """Return the paired difference of a report to another model."""
    interval = report.get("differences", {}).get(other, {}).get(METRIC)
    return Difference.from_interval(interval) if interval else None
