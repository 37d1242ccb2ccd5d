"""The gate of sequence models: decides whether a new version is published with its own, without it, or held back."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any

from engine.evaluation.sequences import RECALL, WITH_SESSION, WITHOUT_SESSION
from engine.training import IN_SERVICE, MODEL
from recommendations.training.quality_gate import Difference

MIN_SESSIONS = 50  # with fewer, bootstrap intervals are too narrow
PUBLISHED, LEFT_OUT, HELD_BACK = "published", "left_out", "held_back"


@dataclass(frozen=True)
class SequenceDecision:
    """What the gate decided about the sequence model of a version; its manifest keeps it as "sequence_gate".

    Attributes:
        outcome: `PUBLISHED` with the version, `LEFT_OUT` of it, or the version is to be `HELD_BACK`.
        reason: one sentence with the numbers.
    """

    outcome: str
    reason: str

    def to_dict(self) -> dict[str, Any]:
        """Return the decision, ready for JSON."""
        return asdict(self)


def decide_about_sequence(manifest: dict[str, Any], margin: float) -> SequenceDecision:
    """Decide about the sequence model of a version by what it says about later sessions.

    - It is left out if the whole 95 % interval of its difference to one of the simple models lies below zero: such a
      model is of no use. So it is if slates are worse with it than without. Slates then do not count sessions.
    - The version is held back if its sequence model is worse than that of the version in service on the same sessions,
      by the whole interval and more than the margin: listeners would lose what they have.

    Nothing is compared on fewer than `MIN_SESSIONS` sessions.

    Args:
        manifest: of the version.
        margin: the share of Recall@20 by which the model may be worse than the one in service; with 1, nothing is held
            back.
    """
    if skipped := manifest["sequence"]["skipped"]:
        return SequenceDecision(LEFT_OUT, f"there is no sequence model: it {skipped}")
    report = manifest["report"].get("next_track") or {"skipped": "nothing was held out"}
    if skipped := report.get("skipped"):
        return SequenceDecision(PUBLISHED, f"its sequence model was not evaluated: {skipped}")
    if report["sessions"] < MIN_SESSIONS:
        reason = f"too few later sessions ({report['sessions']}) to compare; the gate needs {MIN_SESSIONS}"
        return SequenceDecision(PUBLISHED, reason)
    recall = report["models"][MODEL][RECALL]
    where = f"on the same {report['plays']:,} plays of {report['sessions']:,} later sessions"
    simple = [name for name in report["models"] if name not in (MODEL, IN_SERVICE)]
    best = max(simple, key=lambda name: report["models"][name][RECALL])
    for name in sorted(simple, key=lambda name: report["differences"][name]["mean"]):
        if (difference := _difference(report, name)).high < 0:
            return SequenceDecision(
                LEFT_OUT,
                f"Recall@20 of the next track {recall:.4f} is worse than {report['models'][name][RECALL]:.4f} of {name}"
                f", {where} (difference {difference})",
            )
    served = report.get("served")
    if served and served["sessions"] >= MIN_SESSIONS:
        difference = _difference(served, WITHOUT_SESSION)
        with_session, without = (served["models"][name][RECALL] for name in (WITH_SESSION, WITHOUT_SESSION))
        if difference.high < 0:
            return SequenceDecision(
                LEFT_OUT,
                f"slates that count the session have the next track less often, Recall@20 {with_session:.4f} against "
                f"{without:.4f} without it, on {served['plays']:,} plays (difference {difference})",
            )
    if IN_SERVICE in report["models"]:
        in_service, difference = report["models"][IN_SERVICE][RECALL], _difference(report, IN_SERVICE)
        numbers = (
            f"Recall@20 of the next track {recall:.4f} against {in_service:.4f} of the version in service, {where} "
            f"(difference {difference})"
        )
        if margin < 1 and difference.high < -margin * in_service:
            reason = f"worse by more than the margin of {margin:.0%} at saying what is played next: {numbers}"
            return SequenceDecision(HELD_BACK, reason)
        return SequenceDecision(PUBLISHED, numbers)
    return SequenceDecision(
        PUBLISHED,
        f"Recall@20 of the next track {recall:.4f} against {report['models'][best][RECALL]:.4f} of {best}, {where}",
    )


def _difference(report: dict[str, Any], other: str) -> Difference:
    return Difference.from_interval(report["differences"][other])
