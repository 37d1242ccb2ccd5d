"""One training run, from plays to a published version. Schedule, command and admin all call `run_training`."""

import logging
import os
import resource
import secrets
import socket
import sys
import time
import traceback
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import datetime

from django.utils import timezone
from filelock import FileLock, Timeout

from engine.data.plays import Plays
from engine.ensemble import EnsembleConfig
from engine.training import train
from interactions.selectors import count_interactions
from interactions.services import refresh_popular_tracks
from interactions.training_data import iter_play_chunks
from recommendations.alarms import raise_alarm, resolve_alarms
from recommendations.models import ModelArtifact, TrainingRun
from recommendations.training.artifacts import (
    ensemble_in_service,
    find_identical_version,
    record_version,
    summarize_training,
    training_fingerprint,
)
from recommendations.training.config import index_config, training_config
from recommendations.training.publish import (
    prune_versions,
    publish,
    publish_lock,
    store_user_features,
    user_features_are_stored,
)
from recommendations.version_store import version_in_service, version_store
from tracks.selectors import load_track_ids

logger = logging.getLogger(__name__)
ProgressCallback = Callable[[str, int, int], None]
Status = TrainingRun.Status
NICE = 10


@dataclass(frozen=True)
class TrainingResult:
    """How a run ended; `run` is None where another one was running already."""

    status: str
    detail: str
    run: TrainingRun | None = None

    def __str__(self) -> str:
        return f"{self.status}: {self.detail}"


@dataclass
class RunProgress:
    """The run's row, told where the run is."""

    run: TrainingRun
    progress: ProgressCallback
    seconds: dict[str, float] = field(default_factory=dict)

    @contextmanager
    def stage(self, name: str) -> Iterator[None]:
        TrainingRun.objects.filter(pk=self.run.pk).update(stage=name)
        logger.info("training run=%s stage=%s", self.run.pk, name)
        began = time.perf_counter()
        yield
        self.seconds[name] = round(time.perf_counter() - began, 3)


def lower_priority() -> None:
    """This process, and what it starts, gets the processor when nobody who answers wants it."""
    os.setpriority(os.PRIO_PROCESS, 0, max(NICE, os.getpriority(os.PRIO_PROCESS, 0)))


def run_training(
    trigger: str,
    *,
    force: bool = False,
    recipe: EnsembleConfig | None = None,
    progress: ProgressCallback = lambda stage, done, total: None,
) -> TrainingResult:
    """Train, judge, publish. force: even where the plays are those of the version in service · recipe: instead of the
    one that every night uses.

    Never raises for what goes wrong inside: a failure is an Outcome, a row, an alarm and a log line. Killed anywhere,
    the version in service goes on serving and the next run starts clean.
    """
    lower_priority()
    versions = version_store()
    versions.root.mkdir(parents=True, exist_ok=True)
    lock = FileLock(versions.root / "training.lock", timeout=0)  # freed by the kernel when its holder dies
    try:
        with lock:
            return _run(trigger, force, recipe, progress)
    except Timeout:
        return TrainingResult("Already running", "another training run has not finished")


def _run(trigger: str, force: bool, recipe: EnsembleConfig | None, progress: ProgressCallback) -> TrainingResult:
    TrainingRun.objects.filter(status=Status.RUNNING).update(
        status=Status.FAILED, finished_at=timezone.now(), detail="the process was killed"
    )
    run = TrainingRun.objects.create(trigger=trigger[:32], host=socket.gethostname())
    step = RunProgress(run, progress)
    try:
        status, detail, artifact = _train(step, force, recipe)
    except Exception as error:
        logger.exception("training run=%s failed", run.pk)
        raise_alarm("training_failed", "", f"{type(error).__name__}: {error}")
        status, detail, artifact = Status.FAILED, traceback.format_exc(limit=-8), None
    else:
        resolve_alarms("training_failed")
    run.status, run.detail, run.artifact, run.stage, run.seconds = status, detail, artifact, "", step.seconds
    run.finished_at, run.peak_memory_bytes = timezone.now(), _peak_memory()
    run.save()
    logger.info("training run=%s %s", run.pk, status)
    return TrainingResult(str(status.label), detail, run)


def _train(step: RunProgress, force: bool, recipe: EnsembleConfig | None) -> tuple[Status, str, ModelArtifact | None]:
    with step.stage("reconcile"):
        finish_interrupted_run()
    with step.stage("read"):
        plays = read_plays(step.progress)
        tracks = load_track_ids()
        config = training_config(recipe)
        fingerprint = training_fingerprint(plays, tracks, config)
    if not force and (known := find_identical_version(fingerprint)):
        return Status.UNCHANGED, f"nothing new since version {known.version}", known
    with step.stage("train"):
        beside = version_in_service()  # now: by the end of the training another may be
        trained = train(
            plays,
            tracks,
            config,
            version=_new_version(timezone.now()),
            in_service=ensemble_in_service(),
            progress=step.progress,
        )
        trained.manifest["report"]["in_service"] = beside
        trained.manifest["peak_memory_bytes"] = _peak_memory()
    with step.stage("write"):
        version_store().write(trained.bundle, trained.manifest, index_config())
    with step.stage("judge"):
        artifact = record_version(trained, fingerprint)
    if artifact.gate == ModelArtifact.Gate.HELD_BACK:
        raise_alarm("held_back", artifact.version, artifact.gate_reason)
        return Status.HELD_BACK, artifact.gate_reason, artifact
    with step.stage("publish"):
        refresh_popular_tracks()
        publish(artifact.version)
    with step.stage("prune"):
        _prune()
    return Status.PUBLISHED, summarize_training(trained), artifact


def finish_interrupted_run() -> None:
    """Finish or undo what a killed run left."""
    versions, serving = version_store(), version_in_service()
    with publish_lock(versions):
        versions.remove_unfinished()
    abandoned = ModelArtifact.objects.filter(gate=ModelArtifact.Gate.PASSED, published_at=None)
    abandoned.exclude(version=serving).delete()
    if serving and not user_features_are_stored(serving):
        ModelArtifact.objects.filter(version=serving, published_at=None).update(published_at=timezone.now())
        store_user_features(serving)


def _prune() -> None:
    """What cannot be removed does not undo that the version is in service."""
    try:
        prune_versions()
    except (OSError, Timeout) as error:
        raise_alarm("prune_failed", "", f"old versions could not be removed: {error}")
    else:
        resolve_alarms("prune_failed")


def read_plays(progress: ProgressCallback) -> Plays:
    """All of them, as columns."""
    total, chunks = count_interactions(), []
    for chunk in iter_play_chunks():
        chunks.append(chunk)
        progress("read", min(total, sum(map(len, chunks))), total)
    return Plays.concatenate(chunks)


def _new_version(now: datetime) -> str:
    """Sorts by time; the ending keeps two of the same second apart."""
    return f"{now:%Y%m%dT%H%M%SZ}-{secrets.token_hex(3)}"


def _peak_memory() -> int:
    """Bytes; of this process since it started."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * (1 if sys.platform == "darwin" else 1024)
