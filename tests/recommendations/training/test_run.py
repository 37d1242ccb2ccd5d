import re
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from django.core.management import CommandError, call_command

from access.models import User
from engine.models.base import FittedModel
from engine.models.ials import IALS
from interactions.models import Interaction
from recommendations.models import Alarm, ModelArtifact, TrainingRun, UserFeatures
from recommendations.tasks import train_model
from recommendations.training import run
from recommendations.training.publish import CannotPublish, publish, roll_back
from recommendations.training.run import run_training
from recommendations.version_store import version_in_service, version_store
from tests.people import NOON, CatalogueFactory
from tracks.models import Tag, Track, TrackTag
from tracks.vectors import upsert_vectors


@pytest.fixture
def catalogue_with_plays(catalogue: CatalogueFactory) -> CatalogueFactory:
    catalogue.checkerboard()
    return catalogue


def train_version() -> str:
    outcome = run_training("test", force=True)
    assert outcome.run is not None
    assert outcome.run.artifact is not None
    return outcome.run.artifact.version


def test_a_run_publishes_a_version_and_records_itself(catalogue_with_plays: CatalogueFactory) -> None:
    outcome = run_training("test")
    run, artifact = TrainingRun.objects.get(), ModelArtifact.objects.get()
    assert outcome.status == "Published"
    assert (run.status, run.trigger, run.artifact, run.stage) == ("published", "test", artifact, "")
    assert run.finished_at is not None
    assert run.peak_memory_bytes is not None
    assert run.peak_memory_bytes > 10_000_000
    assert run.seconds.keys() == {"reconcile", "read", "train", "write", "judge", "publish", "prune"}
    assert version_in_service() == artifact.version
    assert (artifact.gate, artifact.users, artifact.items, artifact.plays) == ("passed", 20, 20, 180)
    assert artifact.size_bytes == version_store().size(artifact.version)
    assert artifact.manifest["config"]["parts"][0]["factors"] == 2
    assert (
        artifact.ndcg
        == artifact.manifest["report"]["questions"]["new"]["models"]["model"]["metrics"]["ndcg@10"]["mean"]
    )
    assert 10_000_000 < artifact.manifest["peak_memory_bytes"] <= run.peak_memory_bytes
    assert None not in (artifact.published_at, artifact.projected_at)


def test_the_question_of_the_settings_decides(catalogue_with_plays: CatalogueFactory, settings: Any) -> None:
    settings.MUSICREC = settings.MUSICREC | {"QUESTION": "all"}
    tracks = list(Track.objects.order_by("pk"))
    for number, user in enumerate(User.objects.order_by("pk")):  # the other plays are those of the current session
        catalogue_with_plays.play(user, *tracks[number % 2 : 8 : 2], at=NOON - timedelta(days=1))
    outcome = run_training("test")
    [artifact] = ModelArtifact.objects.all()
    report = artifact.manifest["report"]
    assert (report["question"], artifact.manifest["config"]["question"]) == ("all", "all")
    ndcg = report["questions"]["all"]["models"]["model"]["metrics"]["ndcg@10"]["mean"]
    assert artifact.ndcg == ndcg != report["questions"]["new"]["models"]["model"]["metrics"]["ndcg@10"]["mean"]
    assert f"NDCG@10 for all tracks {ndcg:.4f}" in outcome.detail


def test_user_features_are_the_factors_of_the_version(catalogue_with_plays: CatalogueFactory) -> None:
    version = train_version()
    bundle = version_store().load(version)
    assert UserFeatures.objects.count() == 20
    for features in UserFeatures.objects.all():
        row = bundle.users.row(features.user_id)
        assert features.version == version
        assert features.interactions == 9
        np.testing.assert_array_equal(features.vector, bundle.user_factors[row])


def test_a_listener_deleted_while_training_is_left_out(
    catalogue_with_plays: CatalogueFactory, monkeypatch: pytest.MonkeyPatch
) -> None:
    def delete_a_listener_and_train(*args: Any, **kwargs: Any) -> Any:
        User.objects.first().delete()  # type: ignore[union-attr]
        return original(*args, **kwargs)

    original = run.train
    monkeypatch.setattr(run, "train", delete_a_listener_and_train)
    assert run_training("test").status == "Published"
    assert UserFeatures.objects.count() == 19


def test_unchanged_plays_are_not_trained_again(catalogue_with_plays: CatalogueFactory) -> None:
    version = train_version()
    outcome = run_training("test")
    assert (outcome.status, outcome.detail) == ("Unchanged", f"nothing new since version {version}")
    assert ModelArtifact.objects.count() == 1
    Interaction.objects.first().delete()  # type: ignore[union-attr]
    assert run_training("test").status == "Published"


def test_a_new_vector_or_tag_of_a_track_trains_again(catalogue_with_plays: CatalogueFactory) -> None:
    train_version()
    track = Track.objects.all()[0]
    upsert_vectors("clap", [{"id": track.pk, "vector": np.array([0.5, 1.0])}])
    assert run_training("test").status == "Published"
    assert run_training("test").status == "Unchanged"
    TrackTag.objects.create(track=track, tag=Tag.objects.create(name="calm"))
    assert run_training("test").status == "Published"


def test_changed_settings_train_again(catalogue_with_plays: CatalogueFactory, settings: Any) -> None:
    train_version()
    settings.MUSICREC = settings.MUSICREC | {"FACTORS": 3, "GATE_MARGIN": 1}
    assert run_training("test").status == "Published"


def test_a_damaged_version_in_service_is_replaced(catalogue_with_plays: CatalogueFactory) -> None:
    version = train_version()
    (version_store().folder(version) / "model.npz").write_bytes(b"gone")
    assert run_training("test").status == "Published"
    assert version_in_service() != version


@pytest.mark.parametrize("content", ["", "{}", '{"version": "../../etc", "previous": null}'])
def test_a_damaged_pointer_is_replaced_by_the_next_run(catalogue_with_plays: CatalogueFactory, content: str) -> None:
    train_version()
    (version_store().root / "current.json").write_text(content)
    assert version_in_service() is None
    assert run_training("test").status == "Published"
    assert version_in_service() == ModelArtifact.objects.latest("created_at").version


def test_a_failing_family_is_replaced_by_svd_and_reported(
    catalogue_with_plays: CatalogueFactory, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*args: object, **kwargs: object) -> FittedModel:
        raise RuntimeError("no BLAS today")

    monkeypatch.setattr(IALS, "fit", fail)
    outcome = run_training("test")
    artifact = ModelArtifact.objects.get()
    assert (outcome.status, artifact.algorithm) == ("Published", "svd")
    assert artifact.manifest["fallback"] == "ials could not run (RuntimeError: no BLAS today)"
    assert "ials could not run" in outcome.detail


def test_without_plays_a_run_fails_with_a_row_an_alarm_and_advice(catalogue: CatalogueFactory) -> None:
    catalogue.tracks(3)
    reason = "there are no plays to learn from; import plays first"
    assert str(run_training("test")) == f"Failed: {reason}"
    training_run, alarm = TrainingRun.objects.get(), Alarm.objects.get()
    assert (training_run.status, training_run.detail) == ("failed", reason)
    assert (alarm.kind, alarm.message) == ("training_failed", reason)
    with pytest.raises(CommandError, match=f"^Failed: {reason}$"):
        call_command("train_model")
    assert Alarm.objects.get().count == 2  # the alarm is counted, not repeated


def test_an_unexpected_error_is_one_line_of_output_with_its_traceback_in_the_row(
    catalogue_with_plays: CatalogueFactory, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*args: object, **kwargs: object) -> None:
        raise ValueError("no memory\nat all")

    monkeypatch.setattr(run, "train", fail)
    with pytest.raises(CommandError) as error:
        call_command("train_model")
    reason = "ValueError: no memory at all"
    assert str(error.value) == f"Failed: {reason} (the traceback is in the log and in the admin, Training runs)"
    first, second, third, *_, last_but_one, last = TrainingRun.objects.get().detail.splitlines()
    assert (first, second, third) == (reason, "", "Traceback (most recent call last):")
    assert (last_but_one, last) == ("ValueError: no memory", "at all")
    assert Alarm.objects.get().message == reason


def test_a_model_folder_that_cannot_be_written_is_an_alarm(settings: Any, db: None, tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    settings.MUSICREC = settings.MUSICREC | {"MODEL_DIR": tmp_path / "file" / "models"}
    result = run_training("schedule")
    assert (result.status, result.run) == ("Failed", None)
    assert result.detail.startswith("the model folder cannot be written: ")
    assert [(alarm.kind, alarm.message) for alarm in Alarm.objects.all()] == [("training_failed", result.detail)]


def test_a_successful_run_resolves_the_alarm(catalogue: CatalogueFactory) -> None:
    run_training("test")
    catalogue.checkerboard()
    run_training("test")
    assert Alarm.objects.get().resolved_at is not None


def test_a_second_concurrent_run_does_nothing(
    catalogue_with_plays: CatalogueFactory, monkeypatch: pytest.MonkeyPatch
) -> None:
    inner_results: list[str] = []

    def train_twice(*args: Any, **kwargs: Any) -> Any:
        inner_results.append(str(run_training("other")))
        return original(*args, **kwargs)

    original = run.train
    monkeypatch.setattr(run, "train", train_twice)
    assert run_training("test").status == "Published"
    assert inner_results == ["Already running: another training run has not finished"]
    assert TrainingRun.objects.count() == 1


def test_the_task_runs_training(catalogue_with_plays: CatalogueFactory) -> None:
    assert train_model("schedule").startswith("Published: version ")
    assert TrainingRun.objects.get().trigger == "schedule"


def test_a_worse_version_is_held_back_and_can_be_published_by_hand(
    catalogue: CatalogueFactory, monkeypatch: pytest.MonkeyPatch
) -> None:
    catalogue.checkerboard(60)
    first = train_version()

    def fit_noise(self: IALS, matrix: Any, **options: Any) -> FittedModel:
        rng = np.random.default_rng(0)
        return FittedModel(tuple(rng.normal(size=(n, 2)).astype(np.float32) for n in matrix.shape))  # type: ignore[arg-type]

    monkeypatch.setattr(IALS, "fit", fit_noise)
    outcome = run_training("test", force=True)
    held_back = ModelArtifact.objects.latest("created_at")
    assert outcome.status == "Held back"
    assert "NDCG@10 for new tracks 0." in outcome.detail
    assert "95 % between -" in outcome.detail
    assert (held_back.gate, held_back.gate_reason) == ("held_back", outcome.detail)
    assert version_in_service() == first
    assert Alarm.objects.get().kind == "held_back"
    publish(held_back.version)
    assert version_in_service() == held_back.version


def test_a_version_judged_on_too_few_listeners_is_published_and_says_so(catalogue_with_plays: CatalogueFactory) -> None:
    train_version()
    outcome = run_training("test", force=True)
    assert outcome.status == "Published"
    reason = re.search(r"too few judged listeners \(\d+\) to compare; the gate needs 50", outcome.detail)
    assert reason is not None
    assert ModelArtifact.objects.latest("created_at").gate_reason == reason[0]


def test_old_versions_are_pruned_but_not_the_current_and_the_previous_one(
    catalogue_with_plays: CatalogueFactory, settings: Any
) -> None:
    settings.MUSICREC = settings.MUSICREC | {"MODEL_KEEP": 2}
    versions = [train_version() for _ in range(4)]
    assert set(version_store().versions()) == set(versions[2:])
    assert [a.version for a in ModelArtifact.objects.filter(pruned_at=None).order_by("pk")] == versions[2:]
    publish(versions[2])
    last = [train_version() for _ in range(2)]
    assert set(version_store().versions()) == set(last)


def test_rolling_back_twice_returns_to_the_same_version(catalogue_with_plays: CatalogueFactory) -> None:
    first, second = train_version(), train_version()
    assert roll_back() == first == version_in_service()
    assert set(UserFeatures.objects.values_list("version", flat=True)) == {first}
    assert roll_back() == second
    call_command("publish_model", first)
    assert version_in_service() == first
    call_command("publish_model", "--previous")
    assert version_in_service() == second


def test_a_failed_publication_changes_nothing(catalogue_with_plays: CatalogueFactory) -> None:
    version = train_version()
    with pytest.raises(CannotPublish, match="no version before"):
        roll_back()
    for name in ("nonsense", "../x"):
        with pytest.raises(CannotPublish, match="cannot be put into service"):
            publish(name)
        with pytest.raises(CommandError, match="cannot be put into service"):
            call_command("publish_model", name)
    assert version_in_service() == version


def test_a_rolled_back_version_is_not_trained_again_from_the_same_plays(catalogue_with_plays: CatalogueFactory) -> None:
    first, _second = train_version(), train_version()
    roll_back()
    assert run_training("test").status == "Unchanged"
    assert version_in_service() == first


def test_a_setting_that_is_changed_back_trains_again(catalogue_with_plays: CatalogueFactory, settings: Any) -> None:
    settings.MUSICREC = settings.MUSICREC | {"GATE_MARGIN": 1, "MODEL_KEEP": 2}
    for factors in (2, 3, 4, 2):
        settings.MUSICREC = settings.MUSICREC | {"FACTORS": factors}
        assert run_training("test").status == "Published"


def test_failing_to_prune_does_not_undo_the_publication(
    catalogue_with_plays: CatalogueFactory, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail() -> list[str]:
        raise PermissionError("read-only")

    monkeypatch.setattr(run, "prune_versions", fail)
    assert run_training("test").status == "Published"
    assert Alarm.objects.get().kind == "prune_failed"


def test_where_everybody_has_a_single_play_the_run_says_that_nobody_could_be_judged(
    catalogue: CatalogueFactory,
) -> None:
    tracks = catalogue.tracks(3)
    users = User.objects.bulk_create(User(username=f"listener-{n}") for n in range(10))
    for number, user in enumerate(users):
        catalogue.play(user, tracks[number % 3], at=datetime(2026, 1, 1 + number, tzinfo=UTC))
    nobody = "nobody could be judged: no listener has plays before the split and new tracks after it"
    outcome = run_training("test")
    assert (outcome.status, outcome.detail.split(". ")[1:]) == (
        "Published",
        [f"Evaluation: {nobody}", "Gate: there was no version in service that it could be compared with"],
    )
    assert run_training("test", force=True).detail.split(". ")[1:] == [f"Gate: {nobody}"]
