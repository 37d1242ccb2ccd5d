"""A version is published with its sequence model, without it, or not at all; operators see which, and why."""

from datetime import timedelta
from io import StringIO
from typing import Any

import pytest
from django.core.management import call_command
from django.test import Client

from engine.models.sequences import SequenceFusion
from recommendations.models import Alarm, ModelArtifact
from recommendations.training import run
from recommendations.training.run import run_training
from recommendations.training.sequence_gate import HELD_BACK, LEFT_OUT, SequenceDecision
from recommendations.version_store import version_in_service, version_store
from tests.people import NOON, CatalogueFactory


@pytest.fixture
def sessions(catalogue: CatalogueFactory) -> CatalogueFactory:
    """Let ten listeners play three tracks in succession on each of twenty days."""
    users, tracks = catalogue.checkerboard()
    for day in range(1, 21):
        for number, user in enumerate(users[:10]):
            first = (day + number) % 5 * 3
            CatalogueFactory.play(user, *tracks[first : first + 3], at=NOON + timedelta(days=day))
    return catalogue


def open_alarms() -> list[tuple[str, str]]:
    return list(Alarm.objects.filter(resolved_at=None).values_list("kind", "message"))


def stored_sequences(version: str) -> list[bool]:
    """Return whether the files of a version, and of the model that its report is about, have a sequence model."""
    judged = version_store().load_judged(version)
    assert judged is not None
    return [bundle.sequence is not None for bundle in (version_store().load(version), judged)]


def train() -> ModelArtifact:
    outcome = run_training("test", force=True)
    assert outcome.run is not None
    assert outcome.run.artifact is not None
    return outcome.run.artifact


def test_a_version_is_published_with_its_sequence_model_and_compared_by_it(
    sessions: CatalogueFactory, admin_client: Client
) -> None:
    first, second = train(), train()
    assert version_in_service() == second.version
    assert stored_sequences(second.version) == [True, True]
    assert "in_service" not in first.manifest["report"]["next_track"]["models"]
    next_track = second.manifest["report"]["next_track"]
    assert list(next_track["models"]) == ["model", "in_service", "most popular", "last-item rules", "item-kNN"]
    assert next_track["differences"]["in_service"]["mean"] == 0  # the same plays
    assert second.manifest["sequence_gate"]["outcome"] == "published"
    assert open_alarms() == []

    page = admin_client.get(f"/admin/recommendations/modelartifact/{second.pk}/change/").content.decode()
    for text in ("What is played next", "The sequence model belongs to the version: Recall@20 of the next track"):
        assert text in page
    assert "Slates that count the session" in page
    recall = next_track["models"]["model"]["recall@20"]
    assert f"{recall:.4f}" in page
    history = admin_client.get("/admin/recommendations/modelartifact/quality/").content.decode()
    assert "Recall@20 of the next track" in history
    assert f"{recall:.4f}" in history

    out = StringIO()
    call_command("evaluate_model", stdout=out)
    [heading, *_] = [line for line in out.getvalue().splitlines() if line.startswith("next track (")]
    assert heading.split()[-5:] == ["recall@20", "mrr@20", "first", "−", "this"]
    assert "last-item rules" in out.getvalue()
    assert "with_session" in out.getvalue()


def test_a_sequence_model_that_is_left_out_is_not_published_and_raises_an_alarm(
    sessions: CatalogueFactory, monkeypatch: pytest.MonkeyPatch
) -> None:
    decision = SequenceDecision(LEFT_OUT, "it is worse")
    with monkeypatch.context() as patched:
        patched.setattr(run, "decide_about_sequence", lambda *arguments: decision)
        version = train()
    assert version_in_service() == version.version
    assert stored_sequences(version.version) == [False, False]
    assert version.manifest["sequence_gate"] == {"outcome": "left_out", "reason": "it is worse"}
    assert open_alarms() == [
        (
            "sequence_left_out",
            "the version was published without its sequence model, so that slates do not count the current session: "
            "it is worse",
        )
    ]
    train()
    assert open_alarms() == []


def test_a_version_that_is_held_back_because_of_its_sequence_model_is_trained_once(
    sessions: CatalogueFactory, monkeypatch: pytest.MonkeyPatch
) -> None:
    serving = train()
    decision = SequenceDecision(HELD_BACK, "listeners would lose what they have")
    monkeypatch.setattr(run, "decide_about_sequence", lambda *arguments: decision)
    held_back = train()
    assert version_in_service() == serving.version
    assert (held_back.gate, held_back.gate_reason) == ("held_back", decision.reason)
    assert held_back.manifest["gate"]["compared_with"] == "sequence"
    assert ModelArtifact.objects.count() == 2
    assert open_alarms() == [("held_back", decision.reason)]


def test_a_sequence_model_that_cannot_be_fitted_is_left_out_with_an_alarm(
    sessions: CatalogueFactory, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*arguments: Any, **options: Any) -> None:
        raise KeyError("unexpected")

    monkeypatch.setattr(SequenceFusion, "fit", fail)
    version = train()
    assert version_in_service() == version.version
    assert stored_sequences(version.version) == [False, False]
    assert version.manifest["sequence"]["skipped"] == "could not be fitted (KeyError: 'unexpected')"
    [(kind, message)] = open_alarms()
    assert kind == "sequence_left_out"
    assert message.endswith("there is no sequence model: it could not be fitted (KeyError: 'unexpected')")


def test_too_few_sessions_raise_no_alarm(catalogue: CatalogueFactory) -> None:
    catalogue.checkerboard()
    version = train()
    assert version.manifest["sequence_gate"] == {
        "outcome": "left_out",
        "reason": "there is no sequence model: it needs 100 sessions of at least two plays in a known order",
    }
    assert open_alarms() == []
