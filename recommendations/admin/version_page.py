"""The page of one version, beside another one: the one in service, unless it is asked for otherwise."""

from typing import Any

from recommendations.admin.baseline import Baseline
from recommendations.admin.comparison import segments, tables, title_of
from recommendations.admin.report import Report
from recommendations.admin.version_facts import facts, settings_of, version_status
from recommendations.models import ModelArtifact
from recommendations.selectors import comparison_version, versions_with_runs
from recommendations.version_store import current_pointer

CHOICES = 30


def version_page(pk: int, wanted: str, segment: str) -> dict[str, Any]:
    """wanted: the version to compare with, or ""; segment: whose metrics the tables show, "" for all listeners."""
    artifact, pointer = versions_with_runs().get(pk=pk), current_pointer()
    report = Report.of(artifact)
    other = comparison_version(artifact, wanted, report.compared_with)
    baseline = Baseline.of(report, other, wanted)
    chosen = segment if segment in report.segments else ""
    differing, same = settings_of(artifact, other)
    serving = pointer.version if pointer else None
    return {
        "version": artifact,
        "standing": version_status(artifact, serving),
        "fallback": artifact.manifest.get("fallback"),
        "other": other,
        "other_standing": version_status(other, serving) if other else None,
        "choices": ModelArtifact.objects.exclude(pk=pk).values_list("version", flat=True)[:CHOICES],
        "judged": bool(report.models),
        "split": report.split,
        "baseline": baseline,
        "segments": segments(report, baseline),
        "segment": chosen,
        "segment_title": title_of(chosen),
        "tables": tables(report, baseline, chosen),
        "facts": facts(artifact, other),
        "differing": differing,
        "same": same,
    }
