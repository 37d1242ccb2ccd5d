"""The training run, from plays to a published version. The schedule, the command and the admin all run it."""

import logging
import os
import resource
import secrets
import socket
import sys
import time
import traceback
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field, replace

from django.conf import settings
from django.utils import timezone
from filelock import FileLock, Timeout

from common.database_connections import release_connections, write_reliably
from engine.data.content_features import ContentFeatures
from engine.data.play_contexts import PlayContexts
from engine.data.plays import InsufficientPlays, Plays
from engine.data.track_features import TrackFeatures
from engine.ensemble import EnsembleConfig
from engine.pipeline import POLICIES, Policy
from engine.training import FAILED, RECIPE, ProgressCallback, TrainedVersion, TrainingConfig, train
from interactions.selectors import count_interactions, latest_interaction_id
from interactions.services import refresh_popular_tracks
from interactions.training_data import iter_play_chunks, load_play_contexts
from recommendations.alarms import raise_alarm, resolve_alarms
from recommendations.models import ModelArtifact, TrainingRun
from recommendations.training.artifacts import (
    decide_about_version,
    ensemble_in_service,
    find_identical_version,
    judged_model,
    record_version,
    summarize_training,
    training_fingerprint,
)
from recommendations.training.config import index_config, study_in_use, training_config
from recommendations.training.publish import (
    CannotPublish,
    prune_versions,
    publish,
    publish_lock,
    record_publication,
    store_user_features,
    user_features_are_stored,
)
from recommendations.training.quality_gate import SEQUENCE, Decision
from recommendations.training.restrictions import load_restrictions
from recommendations.training.schedule import SCHEDULE, duplicate_of_training
from recommendations.training.sequence_gate import HELD_BACK, LEFT_OUT, decide_about_sequence
from recommendations.training.watch import close_killed_rows, close_waiting_runs
from recommendations.version_store import get_installation_id, version_in_service, version_store
from tracks.features import load_content_features, load_track_features
from tracks.selectors import load_track_ids

logger = logging.getLogger(__name__)
Status = TrainingRun.Status
NICENESS = 10
LOCK_SECONDS = 1.0


@dataclass(frozen=True)
class TrainingResult:
    """How a training run ended; `run` is None if it did not begin: another run was in progress, or it was not due."""

    status: str
    detail: str
    run: TrainingRun | None = None

    def __str__(self) -> str:
        return f"{self.status}: {self.detail}"


@dataclass(frozen=True)
class TrainingData:
    """What a version is trained on.

    Attributes:
        plays: of all consenting listeners.
        features: of each track of the catalogue.
        content: of each track of the catalogue; `content.track_ids` are their ids.
        policies: those in use, by which it is evaluated as it will serve.
        contexts: the plays whose device or activity is known; None while no policy in use counts the context.
        last_interaction: the id of an interaction up to which all are among the plays.
    """

    plays: Plays
    features: TrackFeatures
    content: ContentFeatures
    policies: Mapping[str, Policy]
    contexts: PlayContexts | None
    last_interaction: int


@dataclass
class RunProgress:
    """A recorder of the run's stages: the current one in the row and the log, and the seconds of each."""

    run: TrainingRun
    callback: ProgressCallback
    seconds: dict[str, float] = field(default_factory=dict)

    @contextmanager
    def stage(self, name: str) -> Iterator[None]:
        TrainingRun.objects.filter(pk=self.run.pk).update(stage=name)
        logger.info("training run=%s stage=%s", self.run.pk, name)
        release_connections()  # a stage may compute for an hour before its first query
        started = time.perf_counter()
        yield
        self.seconds[name] = round(self.seconds.get(name, 0.0) + time.perf_counter() - started, 3)


def run_training(
    trigger: str,
    *,
    force: bool = False,
    ensemble: EnsembleConfig | None = None,
    policies: Mapping[str, Policy] = POLICIES,
    waiting_run: int | None = None,
    progress: ProgressCallback = lambda stage, done, total: None,
) -> TrainingResult:
    """Train a version, evaluate it, and publish it if the gate lets it pass.

    A failure does not raise: it becomes a result, a row, an alarm and a log line. If the process is killed at any
    point, the version in service keeps serving and the next run starts clean. No stage holds a database connection
    while it computes, and the result is stored through a new one.

    Args:
        trigger: what started the run, for its row.
        force: train even if nothing changed since the version in service was trained.
        ensemble: the ensemble to train instead of that of the nightly run.
        policies: those in use; the version is evaluated by them.
        waiting_run: the id of the row that was created when the run was requested; otherwise it is created here.
        progress: called with the stage, the steps done and the steps in all.
    """
    lower_priority()
    store = version_store()
    # The kernel releases the lock when its holder dies. `notice_killed_runs` holds it for an instant.
    lock = FileLock(store.root / "training.lock", timeout=LOCK_SECONDS)
    try:
        store.root.mkdir(parents=True, exist_ok=True)
        lock.acquire()
    except Timeout:
        detail = "another training run has not finished"
        close_waiting_runs(TrainingRun.objects.filter(pk=waiting_run or 0), detail)
        return TrainingResult("Already running", detail)
    except OSError as error:
        detail = f"the model folder cannot be written: {error}"
        raise_alarm("training_failed", "", detail)
        close_waiting_runs(TrainingRun.objects.filter(pk=waiting_run or 0), detail)
        return TrainingResult(str(Status.FAILED.label), detail)
    try:
        # This process holds the lock, so whatever still counts as running was killed.
        close_killed_rows(TrainingRun.objects.filter(status=Status.RUNNING), "training_failed", Status.FAILED)
        if trigger == SCHEDULE and (duplicate := duplicate_of_training()):
            return TrainingResult(
                "Not due",
                f"a scheduled run began at {duplicate.started_at:%Y-%m-%d %H:%M} UTC; use Train now for another",
            )
        run = TrainingRun.objects.filter(pk=waiting_run or 0, status=Status.WAITING).first() or TrainingRun()
        run.trigger, run.host = trigger[:32], socket.gethostname()
        run.status, run.started_at = Status.RUNNING, timezone.now()
        run.save()
        stages = RunProgress(run, progress)
        try:
            run.status, run.detail, run.artifact = _train_and_publish(stages, force, ensemble, policies)
        except Exception as error:
            run.status = Status.FAILED
            run.detail, answer = report_failure(error, "training_failed", "Training runs")
        else:
            answer = run.detail
            resolve_alarms("training_failed")
        run.stage, run.seconds = "", stages.seconds
        run.finished_at, run.peak_memory_bytes = timezone.now(), _peak_memory_bytes()
        write_reliably(run.save)
        logger.info("training run=%s %s", run.pk, run.status)
        return TrainingResult(str(Status(run.status).label), answer, run)
    finally:
        lock.release()


def _train_and_publish(
    progress: RunProgress, force: bool, ensemble: EnsembleConfig | None, policies: Mapping[str, Policy]
) -> tuple[Status, str, ModelArtifact | None]:
    with progress.stage("reconcile"):
        finish_interrupted_run()

    with progress.stage("read"):
        last_interaction = latest_interaction_id()  # before the plays, which may then be newer, but never older
        plays = read_plays(progress.callback)
        track_ids = load_track_ids()
        features, content = load_track_features(track_ids), load_content_features(track_ids)
        contexts = load_play_contexts() if any(policy.dials.context for policy in policies.values()) else None
        data = TrainingData(plays, features, content, policies, contexts, last_interaction)
        config = training_config(ensemble)
        study = study_in_use() if ensemble is None else None
        fingerprint = training_fingerprint(data.plays, data.features, data.content, data.contexts, config)
    notes = [f"Tuning study {study.pk} found the recipe; MUSICREC_USE_TUNED=false uses the settings"] if study else []
    if not force and (identical := find_identical_version(fingerprint)):
        return Status.UNCHANGED, ". ".join([f"nothing new since version {identical.version}", *notes]), identical

    trained, decision, artifact = _train_version(progress, data, config)
    lost, is_other_recipe = None, trained.manifest["report"]["comparison"] == RECIPE
    # All recipes have the same sequence model, so another one would be held back because of it as well.
    has_lost = not decision.passed and is_other_recipe and decision.compared_with != SEQUENCE
    is_from_settings = not config.candidates and study is None
    if has_lost and ensemble is None and (in_service := ensemble_in_service()):
        # No night is lost to a recipe that does not win: the one in service is trained on the new plays too.
        lost = artifact
        notes = [
            f"Version {lost.version} by {lost.algorithm} was held back, so the recipe in service was trained too: its "
            f"page in the admin says why, and manage.py publish_model {lost.version} uses its recipe from now on"
        ]
        del trained  # its memory is free before the next one is trained
        config = replace(config, ensemble=in_service, candidates=())
        trained, decision, artifact = _train_version(progress, data, config)
    # Not before: a run that is killed between the two versions must not count as done.
    artifact.fingerprint = fingerprint
    artifact.save(update_fields=["fingerprint"])
    if not decision.passed:
        if ensemble is None:  # a search whose result does not win is nothing to be alarmed about
            raise_alarm("held_back", artifact.version, decision.reason)
        if lost and is_from_settings:
            _raise_alarm_about_settings(lost)
        return Status.HELD_BACK, ". ".join([decision.reason, *notes]), artifact

    with progress.stage("publish"):
        refresh_popular_tracks()
        publish(artifact.version)
        _raise_alarm_about_sequence(artifact)
        if lost and is_from_settings:  # not before: `publish` resolves alarms about versions that were held back
            _raise_alarm_about_settings(lost)

    with progress.stage("prune"):
        try:
            prune_versions()
        except (OSError, Timeout) as error:  # the new version is in service nevertheless
            raise_alarm("prune_failed", "", f"old versions could not be removed: {error}")
        else:
            resolve_alarms("prune_failed")
    return Status.PUBLISHED, summarize_training(trained, decision, notes), artifact


def _raise_alarm_about_settings(lost: ModelArtifact) -> None:
    """Raise an alarm about a version with the recipe of the settings, which an operator expects to be in use."""
    raise_alarm(
        "held_back",
        lost.version,
        f"the recipe of the settings ({lost.algorithm}) is not in use, because its version was held back: "
        f"{lost.gate_reason}. The recipe in service is trained instead, until that of the settings wins. To use it "
        f"from now on, put the version into service in the admin or by manage.py publish_model {lost.version}; "
        "otherwise change the settings back",
    )


def _raise_alarm_about_sequence(artifact: ModelArtifact) -> None:
    """Raise an alarm if a version was published without a sequence model that it could have; else resolve it."""
    gate, skipped = artifact.manifest["sequence_gate"], artifact.manifest["sequence"]["skipped"]
    if gate["outcome"] == LEFT_OUT and (not skipped or skipped.startswith(FAILED)):
        raise_alarm(
            "sequence_left_out",
            artifact.version,
            f"the version was published without its sequence model, so that slates do not count the current session: "
            f"{gate['reason']}",
        )
    else:
        resolve_alarms("sequence_left_out")


def _train_version(
    progress: RunProgress, data: TrainingData, config: TrainingConfig
) -> tuple[TrainedVersion, Decision, ModelArtifact]:
    """Train a version, let the gate decide about it, and write its files and its row."""
    with progress.stage("train"):
        # Read these now: another version may be in service by the time the training ends.
        compared_with, in_service, installation = version_in_service(), ensemble_in_service(), get_installation_id()
        judged = judged_model(compared_with)
        restrictions = load_restrictions()
        release_connections()
        trained = train(
            data.plays,
            data.content.track_ids,
            config,
            # Names sort by time; the random suffix separates two of the same second.
            version=f"{timezone.now():%Y%m%dT%H%M%SZ}-{secrets.token_hex(3)}",
            features=data.features,
            content=data.content,
            in_service=in_service,
            judged=judged,
            cold_below=settings.MUSICREC["COLD_BELOW"],
            restrictions=restrictions,
            policies=data.policies,
            contexts=data.contexts,
            progress=progress.callback,
        )
        trained.manifest["report"]["in_service"] = compared_with
        trained.manifest["installation"] = str(installation)
        trained.manifest["last_interaction"] = data.last_interaction
        trained.manifest["peak_memory_bytes"] = _peak_memory_bytes()

    with progress.stage("judge"):
        sequence_decision = decide_about_sequence(trained.manifest, settings.MUSICREC["GATE_MARGIN"])
        trained.manifest["sequence_gate"] = sequence_decision.to_dict()
        decision = decide_about_version(trained)
        if decision.passed and sequence_decision.outcome == HELD_BACK:
            decision = Decision(
                False, sequence_decision.reason, SEQUENCE, decision.version, listeners=decision.listeners
            )
        trained.manifest["gate"] = decision.to_dict()
        if sequence_decision.outcome == LEFT_OUT:
            trained = trained.without_sequence()

    with progress.stage("write"):
        version_store().write(trained.bundle, trained.manifest, index_config(), trained.judged)
        artifact = record_version(trained, decision)
    return trained, decision, artifact


def finish_interrupted_run() -> None:
    """Complete or undo what a killed run left behind.

    Half-written folders, and rows of versions that were never published, are removed. If the pointer was already
    replaced, the rest of the publication is done now.
    """
    store, serving = version_store(), version_in_service()
    with publish_lock(store):
        store.remove_unfinished()
    never_published = ModelArtifact.objects.filter(gate=ModelArtifact.Gate.PASSED, published_at=None)
    never_published.exclude(version=serving).delete()
    if serving and not user_features_are_stored(serving):
        if ModelArtifact.objects.filter(version=serving, published_at=None).exists():
            record_publication(serving)
        store_user_features(serving)


def report_failure(error: Exception, alarm: str, admin_page: str) -> tuple[str, str]:
    """Log a failure and raise an alarm.

    Args:
        error: what ended the run. The errors that tell the operator what to do are reported without a traceback.
        alarm: the kind of the alarm.
        admin_page: the list in the admin that has the row of the run.

    Returns:
        The text for the row, with the reason in its first line, and the answer in one line for whoever started it.
    """
    release_connections()  # it may be what failed
    if isinstance(error, (InsufficientPlays, CannotPublish)):
        raise_alarm(alarm, "", str(error))
        return str(error), str(error)
    reason = " ".join(f"{type(error).__name__}: {error}".split())  # messages of databases have several lines
    logger.error("%s", alarm, exc_info=error)
    raise_alarm(alarm, "", reason)
    end_of_traceback = "".join(traceback.format_exception(error, limit=-8))
    return f"{reason}\n\n{end_of_traceback}", f"{reason} (the traceback is in the log and in the admin, {admin_page})"


def read_plays(progress: ProgressCallback) -> Plays:
    """Read the plays of all consenting listeners into columns, chunk by chunk."""
    total, chunks = count_interactions(), []
    for chunk in iter_play_chunks():
        chunks.append(chunk)
        progress("read", min(total, sum(map(len, chunks))), total)
    return Plays.concatenate(chunks)


def lower_priority() -> None:
    """Let this process and its children yield the processor to the processes that answer requests."""
    os.setpriority(os.PRIO_PROCESS, 0, max(NICENESS, os.getpriority(os.PRIO_PROCESS, 0)))


def _peak_memory_bytes() -> int:
    """Return the largest resident size of this process since it started."""
    # macOS reports bytes, Linux kibibytes.
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * (1 if sys.platform == "darwin" else 1024)
