"""What a version is measured against, and whether the two may be compared."""

from dataclasses import dataclass, field

from recommendations.admin.report import MetricValue, Report
from recommendations.models import ModelArtifact

_PAIRED = (
    "Both were asked about the same listeners and the same held-out plays: a difference whose interval leaves out zero "
    "is hardly chance."
)


@dataclass(frozen=True)
class Baseline:
    """What a version is measured against. differences: paired, where the report has them; "" is no segment."""

    title: str
    note: str
    report: Report
    model: str
    differences: dict[str, MetricValue] = field(default_factory=dict)

    @classmethod
    def of(cls, report: Report, other: ModelArtifact | None, wanted: str = "") -> "Baseline | None":
        then = report.compared_with
        is_other = then == other.version if then and other else not wanted
        if "in_service" in report.models and is_other:
            title = then or "In service when it was trained"
            return cls(title, _PAIRED, report, "in_service", report.differences("in_service"))
        return cls(other.version, _note(report, Report.of(other)), Report.of(other), "model") if other else None


def _note(report: Report, other: Report) -> str:
    if not report.models or not other.models:
        return "One of the two was judged on nobody, so there is nothing to compare."
    if report.content.get("split") != other.content.get("split"):
        return "The two were judged on different kinds of split: their numbers must not be compared."
    return (
        "Each was judged when it was trained, on the plays that were held out then. A small difference may be one "
        "between the plays, not between the models."
    )
