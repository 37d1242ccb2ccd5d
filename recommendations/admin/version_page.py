"""The page of one version, compared with another one: by default with the one in service."""

from typing import Any

from recommendations.admin.comparison import (
    Baseline,
    explain_repeats,
    metric_tables,
    question_summaries,
    segment_summaries,
    segment_title,
    unanswered_questions,
)
from recommendations.admin.gate_decision import choice_reason, gate_numbers, tried_families
from recommendations.admin.next_track import next_track_context
from recommendations.admin.report import MAIN_METRIC, QUESTION_TITLES, Report, metric_label
from recommendations.admin.version_facts import compare_settings, version_facts, version_status
from recommendations.models import ModelArtifact
from recommendations.selectors import comparison_version, other_version_of_run, versions_with_runs
from recommendations.version_store import version_in_service

MAX_CHOICES = 30


def version_page(pk: int, requested: str, question: str, segment: str) -> dict[str, Any]:
    """Return the context of the page.

    Args:
        pk: the version to show.
        requested: the name of the version to compare it with, or "".
        question: the question that segments and tables answer; by default the one that the version was chosen for.
        segment: the segment whose metrics the tables show, "" for all listeners.
    """
    artifact, serving = versions_with_runs().get(pk=pk), version_in_service()
    decisive = Report.from_artifact(artifact)
    report = Report.from_artifact(artifact, question)
    other = comparison_version(artifact, requested, report.compared_with)
    baseline = Baseline.choose(report, other, requested)
    segment = segment if segment in report.segments else ""
    differing, same = compare_settings(artifact, other)
    return {
        "version": artifact,
        "status": version_status(artifact, serving),
        "fallback": artifact.manifest.get("fallback"),
        "gate_numbers": gate_numbers(artifact),
        "choice_reason": choice_reason(artifact),
        "tried_families": tried_families(artifact),
        "same_run": other_version_of_run(artifact),
        "other": other,
        "other_status": version_status(other, serving) if other else None,
        "choices": ModelArtifact.objects.exclude(pk=pk).values_list("version", flat=True)[:MAX_CHOICES],
        "is_evaluated": bool(report.answers()),
        "split": decisive.split or report.split,
        "questions": question_summaries(report, other, requested),
        "question_notes": [*unanswered_questions(report), *filter(None, [explain_repeats(artifact, report)])],
        "question": report.question,
        "question_title": QUESTION_TITLES[report.question][0],
        "decisive_metric": metric_label(MAIN_METRIC, decisive.question),
        "decisive_title": QUESTION_TITLES[decisive.question][0],
        "baseline": baseline,
        "segments": segment_summaries(report, baseline),
        "segment": segment,
        "segment_title": segment_title(segment),
        "tables": metric_tables(report, baseline, segment),
        **next_track_context(artifact),
        "facts": version_facts(artifact, other),
        "differing": differing,
        "same": same,
    }
