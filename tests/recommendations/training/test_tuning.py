"""Tuning studies: their rows, the training that follows, and how an interrupted study is resumed."""

from collections.abc import Iterator
from contextlib import contextmanager
from importlib import import_module
from io import StringIO
from typing import Any

import pytest
from django.apps import apps
from django.core.management import CommandError, call_command
from django_celery_beat.models import PeriodicTask
from filelock import FileLock

from engine.data.split import split_plays
from engine.ensemble import ComponentConfig, EnsembleConfig
from engine.evaluation.questions import question_report
from engine.models.ials import IALS
from engine.models.popularity import Popularity
from engine.models.rp3beta import RP3Beta
from engine.tuning import TunedEnsemble
from recommendations import tasks
from recommendations.models import Alarm, ModelArtifact, TrainingRun, TuningStudy
from recommendations.training import quality_gate, run, tuning
from recommendations.training.config import ensemble_from_settings, training_config
from recommendations.training.run import run_training
from recommendations.training.tuning import run_tuning
from recommendations.training.watch import notice_killed_runs
from recommendations.version_store import version_in_service, version_store
from tests.people import CatalogueFactory
from tracks.models import Artist

NEIGHBOURS = EnsembleConfig((ComponentConfig(RP3Beta()),))


@pytest.fixture
def search_result(monkeypatch: pytest.MonkeyPatch) -> Any:
    """Return a function that replaces the search by one with a given result."""

    def set_result(ensemble: EnsembleConfig, score: float = 0.99) -> None:
        monkeypatch.setattr(
            tuning, "tune", lambda *args, **kwargs: TunedEnsemble(ensemble, score, (), {"rp3beta": score})
        )

    return set_result


def get_study() -> TuningStudy:
    return TuningStudy.objects.get()


def test_a_better_ensemble_is_trained_published_and_used_from_then_on(taste_groups_in_database: None) -> None:
    assert run_training("test").status == "Published"
    before, out = version_in_service(), StringIO()
    call_command("tune_model", "--seconds", "2", stdout=out)
    study = get_study()
    trials = list(study.trials.all())
    assert (study.status, study.trigger, study.split, study.budget_seconds) == ("adopted", "command", "time", 2)
    assert study.score > 1.2 * study.score_in_use
    assert study.finished_at is not None
    assert study.seconds >= sum(trial.seconds for trial in trials)
    assert [trial.number for trial in trials] == list(range(1, len(trials) + 1))
    assert {trial.family for trial in trials} == set(study.best_of)
    assert [ComponentConfig.from_dict(trial.parameters).trainer.family for trial in trials] == [
        trial.family for trial in trials
    ]

    run = TrainingRun.objects.get(trigger="tuning")
    assert version_in_service() == run.artifact.version == study.artifact.version != before
    bundle = version_store().load(run.artifact.version)
    assert bundle.content is not None
    assert set(bundle.features.artist.tolist()) == set(
        Artist.objects.filter(tracks__isnull=False).values_list("pk", flat=True)
    )
    report = question_report(run.artifact.manifest["report"])
    assert report["models"].keys() == {"model", "in_service", "most_popular"}
    assert report["differences"].keys() == {"in_service", "most_popular"}
    assert (
        training_config().ensemble
        == EnsembleConfig.from_dict(study.recipe)
        == EnsembleConfig.from_dict(run.artifact.manifest["config"])
    )
    unchanged = run_training("schedule")  # the next scheduled run uses the same ensemble
    assert unchanged.status == "Unchanged"
    assert unchanged.detail == (
        f"nothing new since version {run.artifact.version}. Tuning study {study.pk} found the recipe; "
        "MUSICREC_USE_TUNED=false uses the settings"
    )

    output = out.getvalue().splitlines()
    assert output[0].startswith("Adopted: ")
    assert f"NDCG@10 {study.score:.4f}" in output[0]
    assert {line.split()[0] for line in output[1:]} == set(study.best_of)


@pytest.mark.parametrize("is_noticed", [False, True])
def test_a_killed_study_is_resumed_with_its_trials(taste_groups_in_database: None, is_noticed: bool) -> None:
    import_module("recommendations.migrations.0004_weekly_tuning").add(apps, None)
    run_tuning("schedule", seconds=1, train_best=False)
    killed = get_study()
    assert killed.status == "tried"
    trials = list(killed.trials.values_list("number", "parameters", "at"))
    TuningStudy.objects.update(status="running", finished_at=None, score=None, recipe=None)
    if is_noticed:
        assert notice_killed_runs() == 1
        assert get_study().status == "interrupted"
    outcome = run_tuning("schedule", seconds=50, train_best=False)
    study = get_study()  # the same row
    assert outcome.study == study == killed
    assert (study.status, study.budget_seconds) == ("tried", 1)
    assert list(study.trials.values_list("number", "parameters", "at"))[: len(trials)] == trials
    numbers = list(study.trials.values_list("number", flat=True))
    assert numbers == list(range(1, len(numbers) + 1))
    assert study.seconds >= sum(study.trials.values_list("seconds", flat=True))
    assert ModelArtifact.objects.count() == 0


def test_a_killed_study_over_other_plays_is_closed(taste_groups_in_database: None, search_result: Any) -> None:
    killed = TuningStudy.objects.create(trigger="test", fingerprint="of other plays", budget_seconds=5)
    search_result(NEIGHBOURS)
    run_tuning("test", train_best=False)
    killed.refresh_from_db()
    assert (killed.status, killed.detail) == ("interrupted", "the process was killed")
    assert killed.finished_at is not None
    assert TuningStudy.objects.latest("pk").status == "tried"


def test_the_search_asks_the_question_of_the_settings_and_does_not_resume_a_study_of_another(
    taste_groups_in_database: None, settings: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    questions: list[str] = []

    def tune(*args: Any, question: str, **options: Any) -> TunedEnsemble:
        questions.append(question)
        return TunedEnsemble(NEIGHBOURS, 0.99, ())

    monkeypatch.setattr(tuning, "tune", tune)
    for question in ("new", "all"):
        settings.MUSICREC = settings.MUSICREC | {"QUESTION": question}
        result = run_tuning("test", train_best=False)
        assert f"NDCG@10 0.9900 for the question {question} on the plays" in result.detail
        TuningStudy.objects.filter(pk=result.study.pk).update(status="running", finished_at=None)
    assert questions == ["new", "all"]
    first, second = TuningStudy.objects.order_by("pk")
    assert first.status == "interrupted"
    assert first.fingerprint != second.fingerprint
    assert first.score_in_use != second.score_in_use


def test_the_search_does_not_see_the_plays_of_the_gate(
    taste_groups_in_database: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    search_input: dict[str, Any] = {}

    def tune(past: Any, future: Any, shape: Any, **options: Any) -> TunedEnsemble:
        search_input.update(future=len(future), newest=future.newest.max(), oldest=future.newest.min(), past=past)
        return TunedEnsemble(NEIGHBOURS, 0.9, ())

    monkeypatch.setattr(tuning, "tune", tune)
    run_tuning("test", train_best=False)
    held_out = split_plays(tuning.read_plays(lambda *args: None), "time", 0.2, 2009).future
    assert search_input["newest"] < held_out.time.min()
    assert search_input["future"] == pytest.approx(len(held_out), rel=0.02)
    assert search_input["past"].newest.max() < search_input["oldest"]
    assert get_study().split == "time"


@pytest.mark.parametrize("kind", ["ratio", "leave_last", "new_users"])
def test_the_search_uses_the_same_split_as_the_gate(
    taste_groups_in_database: None, search_result: Any, settings: Any, kind: str
) -> None:
    settings.MUSICREC = settings.MUSICREC | {"SPLIT": kind}
    search_result(NEIGHBOURS)
    assert run_tuning("test").status == "Adopted"
    assert get_study().split == ("ratio" if kind == "new_users" else kind)
    assert get_study().artifact.manifest["report"]["split"] == kind


@pytest.mark.parametrize("result", ["the ensemble in use", "a worse one"])
def test_a_search_without_a_better_ensemble_changes_nothing(
    taste_groups_in_database: None, search_result: Any, result: str
) -> None:
    run_training("test")
    serving = version_in_service()
    search_result(*((ensemble_from_settings(), 0.9) if result == "the ensemble in use" else (NEIGHBOURS, 0.0001)))
    outcome = run_tuning("test")
    assert (outcome.status, get_study().status) == ("No better", "no_better")
    assert outcome.detail.startswith("nothing better than the ensemble in use was found")
    assert (version_in_service(), TrainingRun.objects.count()) == (serving, 1)
    assert training_config().ensemble == ensemble_from_settings()


def test_an_ensemble_that_the_gate_holds_back_is_not_used(
    taste_groups_in_database: None, search_result: Any, settings: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    run_training("test")
    serving = version_in_service()
    settings.MUSICREC = settings.MUSICREC | {"GATE_MARGIN": 0.1}
    monkeypatch.setattr(quality_gate, "REQUIRED_ERRORS", 99)
    search_result(NEIGHBOURS)
    outcome = run_tuning("test")
    study = get_study()
    assert (outcome.status, study.artifact.gate) == ("Held back", "held_back")
    assert "another recipe must win by more than 99 standard errors, and this one does not" in study.detail
    assert "listeners, in 4 windows of their plays (difference " in study.artifact.gate_reason
    assert not Alarm.objects.exists()
    assert (version_in_service(), training_config().ensemble) == (serving, ensemble_from_settings())


def test_an_ensemble_worse_than_popularity_is_held_back(
    taste_groups_in_database: None, search_result: Any, settings: Any
) -> None:
    search_result(EnsembleConfig((ComponentConfig(Popularity()),)))
    assert run_tuning("test").status == "Adopted"  # most popular is not worse than itself
    search_result(EnsembleConfig((ComponentConfig(IALS(factors=1, iterations=1), damping=4.0),)))
    TuningStudy.objects.update(score_in_use=0)
    outcome = run_tuning("test")
    assert outcome.status == "Held back"
    assert "of most popular (difference -" in outcome.detail


def test_a_failed_search_records_the_reason_and_raises_an_alarm(
    taste_groups_in_database: None, search_result: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*args: Any, **kwargs: Any) -> TunedEnsemble:
        raise RuntimeError("no luck today")

    monkeypatch.setattr(tuning, "tune", fail)
    with pytest.raises(CommandError) as error:
        call_command("tune_model")
    reason = "RuntimeError: no luck today"
    assert str(error.value) == f"Failed: {reason} (the traceback is in the log and in the admin, Tuning studies)"
    assert (get_study().status, Alarm.objects.get().kind) == ("failed", "tuning_failed")
    assert get_study().detail.startswith(f"{reason}\n\nTraceback (most recent call last):\n")
    assert Alarm.objects.get().message == reason
    search_result(NEIGHBOURS)
    run_tuning("test", train_best=False)
    assert Alarm.objects.get().resolved_at is not None


def test_without_plays_a_study_fails_and_advises_to_import_some(catalogue: CatalogueFactory) -> None:
    catalogue.tracks(3)
    reason = "there are no plays to learn from; import plays first"
    assert str(run_tuning("test")) == f"Failed: {reason}"
    assert (get_study().status, get_study().detail) == ("failed", reason)


def test_a_second_concurrent_study_does_nothing(taste_groups_in_database: None) -> None:
    with _hold_lock("tuning.lock"):
        assert str(run_tuning("test")) == "Already running: another tuning study has not finished"
    assert TuningStudy.objects.count() == 0


def test_a_study_waits_for_a_training_run_in_progress(
    taste_groups_in_database: None, search_result: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    search_result(NEIGHBOURS)
    sleeps: list[float] = []
    monkeypatch.setattr(run, "LOCK_SECONDS", 0)
    with _hold_lock("training.lock") as lock:
        monkeypatch.setattr(tuning.time, "sleep", lambda seconds: (sleeps.append(seconds), lock.release()))
        assert run_tuning("test").status == "Adopted"
    assert sleeps == [tuning.POLL_SECONDS]


def test_the_task_runs_tuning_on_sundays(taste_groups_in_database: None, search_result: Any) -> None:
    search_result(NEIGHBOURS)
    assert tasks.tune_model("schedule").startswith("Adopted: rp3beta, NDCG@10 0.9900")
    weekly = import_module("recommendations.migrations.0004_weekly_tuning")
    weekly.add(apps, None)  # a test that empties the tables deletes the rows of migrations as well
    task = PeriodicTask.objects.get(task="recommendations.tune_model")
    assert (task.name, str(task.crontab)[:11], task.enabled) == ("Weekly tuning", "30 4 * * 0 ", True)


@contextmanager
def _hold_lock(name: str) -> Iterator[FileLock]:
    """Hold a lock as another process would."""
    version_store().root.mkdir(parents=True, exist_ok=True)
    with FileLock(version_store().root / name) as lock:
        yield lock
