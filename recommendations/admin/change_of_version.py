"""The questions that an operator answers before another version is put into service."""

from common.confirmation import Confirmation
from recommendations.admin.formatting import UNKNOWN, format_count, format_time
from recommendations.admin.report import MAIN_METRIC, Report, metric_label
from recommendations.models import ModelArtifact

FOR_LISTENERS = [
    "All listeners get the recommendations of {new} from their next request on, in all processes within seconds. Their "
    "lists change: tracks appear, disappear and move.",
    "Plays, likes, dislikes and blocks stay as they are, and count at once.",
    "Tracks that were added to the catalogue after {new} was trained are found as similar tracks and by popularity; "
    "the model does not recommend them.",
]
UNTIL_THE_NEXT_RUN = "The next training run goes on as usual: if there are new plays, it may publish a new version."


def confirm_rollback(current: str, previous: str) -> Confirmation:
    artifact = ModelArtifact.objects.filter(version=previous).first()
    return Confirmation(
        question=f"Roll back from {current} to {previous}?",
        button="Roll back",
        cancel=f"Keep {current}",
        warning=_gate_warning(artifact),
        consequences=[
            *(sentence.format(new=previous) for sentence in FOR_LISTENERS),
            UNTIL_THE_NEXT_RUN,
            f"“Roll back” once more returns to {current}.",
        ],
        headings=[f"In service: {current}", f"Then: {previous}"],
        facts=_facts(current, previous),
        answer=f"{current} {previous}",
    )


def confirm_publication(current: str | None, artifact: ModelArtifact) -> Confirmation:
    """Ask whether to put a version into service; `current` is the one that is, if any."""
    overrides = artifact.gate == ModelArtifact.Gate.HELD_BACK
    undo = f"“Roll back” above the list of versions returns to {current}." if current else ""
    return Confirmation(
        question=f"Put {artifact.version} into service{', overriding the gate' if overrides else ''}?",
        button="Override the gate" if overrides else "Put into service",
        cancel="Leave it held back" if overrides else "Cancel",
        warning=_gate_warning(artifact),
        consequences=[
            *(sentence.format(new=artifact.version) for sentence in FOR_LISTENERS),
            UNTIL_THE_NEXT_RUN,
            *([undo] if undo else []),
            "The version’s history records that you did it.",
        ],
        headings=[f"In service: {current or 'none'}", f"Then: {artifact.version}"],
        facts=_facts(current, artifact.version),
        answer=f"{current} {artifact.version}",
        is_dangerous=overrides,
    )


def _gate_warning(artifact: ModelArtifact | None) -> str:
    if artifact is None or artifact.gate != ModelArtifact.Gate.HELD_BACK:
        return ""
    return f"The gate held {artifact.version} back: {artifact.gate_reason or 'no reason was recorded'}"


def _facts(current: str | None, new: str) -> dict[str, list[str]]:
    artifacts = ModelArtifact.objects.filter(version__in=[current, new]).in_bulk(field_name="version")
    columns = [artifacts.get(version or "") for version in (current, new)]
    question = Report.from_artifact(columns[1]).question if columns[1] else ""
    ndcg = [
        Report.from_artifact(artifact, question).metrics().get(MAIN_METRIC) if artifact else None
        for artifact in columns
    ]
    return {
        "Trained": [format_time(artifact.created_at) if artifact else UNKNOWN for artifact in columns],
        "Plays": [format_count(artifact.plays) if artifact else UNKNOWN for artifact in columns],
        "Tracks": [format_count(artifact.items) if artifact else UNKNOWN for artifact in columns],
        metric_label(MAIN_METRIC, question): [f"{value.mean:.4f}" if value else UNKNOWN for value in ndcg],
    }
