"""Search for a better recipe, and let the gate decide about it."""

import hashlib
import logging
import socket
import time
import traceback
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from django.conf import settings
from django.utils import timezone
from filelock import FileLock, Timeout

from engine.data.id_map import IdMap
from engine.data.plays import Plays
from engine.data.split import split_plays
from engine.data.user_item_pairs import UserItemPairs
from engine.ensemble import ComponentConfig
from engine.fitting import fit_ensemble
from engine.training import TrainingConfig
from engine.tuning import Trial, TunedEnsemble, tune
from engine.tuning.validation_metric import ValidationMetric
from recommendations.alarms import raise_alarm, resolve_alarms
from recommendations.models import TrainingRun, TuningStudy, TuningTrial
from recommendations.training.config import training_config
from recommendations.training.run import TrainingResult as Trained
from recommendations.training.run import lower_priority, read_plays, run_training
from recommendations.version_store import version_store
from tracks.selectors import load_track_ids

logger = logging.getLogger(__name__)
ProgressCallback = Callable[[str, int, int], None]
Status = TuningStudy.Status
WAIT_SECONDS = 6 * 3600.0  # for a training run that is going on: as long as one may take
POLL_SECONDS = 10.0


@dataclass(frozen=True)
class TuningResult:
    """How a study ended; `study` is None where another one was running already."""

    status: str
    detail: str
    study: TuningStudy | None = None

    def __str__(self) -> str:
        return f"{self.status}: {self.detail}"


def run_tuning(
    trigger: str,
    *,
    seconds: float | None = None,
    train_it: bool = True,
    progress: ProgressCallback = lambda stage, done, total: None,
) -> TuningResult:
    """Find the best recipe for the plays there are, train it, and use it every night if the gate lets it pass.

    seconds: by default as the settings say · train_it: else the study is only kept. Never raises for what goes wrong
    inside. A study that was killed goes on where it was, if the plays are still the same.
    """
    lower_priority()
    versions = version_store()
    versions.root.mkdir(parents=True, exist_ok=True)
    try:
        with FileLock(versions.root / "tuning.lock", timeout=0):
            return _run(trigger, seconds or settings.MUSICREC["TUNING_SECONDS"], train_it, progress)
    except Timeout:
        return TuningResult("Already running", "another tuning study has not finished")


def _run(trigger: str, seconds: float, train_it: bool, progress: ProgressCallback) -> TuningResult:
    study = TuningStudy(trigger=trigger[:32], budget_seconds=seconds, host=socket.gethostname())
    try:
        config = training_config()
        material = _material(read_plays(progress), load_track_ids(), config)  # training reads the plays again
        study = _resumed(study, material)
        tuned = _search(study, material, config, progress)
        study.recipe, study.score, study.best_of = tuned.ensemble.to_dict(), tuned.score, tuned.best_of
        study.score_in_use = material.score(config)
        study.save()
        status, detail, run = _adopt(study, tuned, config, train_it, progress)
        study.artifact = run.artifact if run else None
    except Exception as error:
        logger.exception("tuning study=%s failed", study.pk)
        raise_alarm("tuning_failed", "", f"{type(error).__name__}: {error}")
        status, detail = Status.FAILED, traceback.format_exc(limit=-8)
    else:
        resolve_alarms("tuning_failed")
    study.status, study.detail, study.finished_at = status, detail, timezone.now()
    study.save()
    logger.info("tuning study=%s %s", study.pk, status)
    return TuningResult(str(Status(status).label), detail, study)


@dataclass(frozen=True)
class TuningData:
    """What a recipe is chosen on: never the plays that the gate judges it on afterwards."""

    past: UserItemPairs
    future: UserItemPairs
    shape: tuple[int, int]
    split: str
    fingerprint: str

    def score(self, config: TrainingConfig) -> float:
        """NDCG@10 of the recipe of `config`, asked as the search asks."""
        fitted = fit_ensemble(self.past, self.shape, config.ensemble, seed=config.seed, threads=config.threads)
        metric = ValidationMetric.from_pairs(self.past, self.future, self.shape, config.seed, config.threads)
        return round(metric.mean_ndcg(fitted.scorer()), 5)


def _material(plays: Plays, tracks: np.ndarray, config: TrainingConfig) -> TuningData:
    """What training will hold out is not looked at; of what is left the same share is held out again, by the same
    kind of split. Listeners of whom a part has seen nothing are no use here, so `new_users` becomes `ratio`."""
    seen = sample_listeners(split_plays(plays, config.split, config.holdout, config.seed).past, config.seed)
    parts = split_plays(seen, "ratio" if config.split == "new_users" else config.split, config.holdout, config.seed)
    users, items = IdMap.from_ids(seen.user), IdMap.from_ids(tracks)
    past, future = (UserItemPairs.from_plays(part, users, items) for part in (parts.past, parts.future))
    digest = hashlib.blake2b(seen.fingerprint().encode() + tracks.tobytes() + parts.kind.encode(), digest_size=16)
    return TuningData(past, future, (len(users), len(items)), parts.kind, digest.hexdigest())


def sample_listeners(plays: Plays, seed: int) -> Plays:
    """All plays of so many listeners that their distinct tracks stay within the settings' limit."""
    limit = settings.MUSICREC["TUNING_PAIRS"]
    if len(plays) <= limit:
        return plays
    users, row = np.unique(plays.user, return_inverse=True)
    tracks, track = np.unique(plays.track, return_inverse=True)
    pairs = np.bincount(np.unique(row * len(tracks) + track) // len(tracks))
    order = np.random.default_rng(seed).permutation(len(users))
    chosen = np.zeros(len(users), np.bool_)
    chosen[order[: max(1, np.searchsorted(np.cumsum(pairs[order]), limit, "right"))]] = True
    return plays.where(chosen[row])


def _resumed(study: TuningStudy, material: TuningData) -> TuningStudy:
    """The study that was killed over the same plays, or this one, begun. Other killed ones are over."""
    killed = TuningStudy.objects.filter(status=Status.RUNNING)
    same = killed.filter(fingerprint=material.fingerprint).order_by("pk").last()
    over = killed.exclude(pk=same.pk) if same else killed
    over.update(status=Status.INTERRUPTED, finished_at=timezone.now(), detail="the process was killed")
    if same:
        return same
    study.fingerprint, study.split = material.fingerprint, material.split
    study.save()
    return study


def _search(
    study: TuningStudy, material: TuningData, config: TrainingConfig, progress: ProgressCallback
) -> TunedEnsemble:
    known = [
        Trial(ComponentConfig.from_dict(row.parameters), row.score, row.seconds, row.note) for row in study.trials.all()
    ]
    spent, began = sum(trial.seconds for trial in known), time.perf_counter()
    tuned = tune(
        material.past,
        material.future,
        material.shape,
        seconds=max(study.budget_seconds - spent, 1.0),
        initial=config.ensemble,
        previous_trials=known,
        seed=config.seed,
        threads=config.threads,
        on_trial=lambda trial: _keep(study, trial),
        progress=lambda done, total: progress("tune", done, total),
    )
    study.seconds = round(spent + time.perf_counter() - began, 3)
    return tuned


def _keep(study: TuningStudy, trial: Trial) -> None:
    TuningTrial.objects.create(
        study=study,
        number=study.trials.count() + 1,
        family=trial.component.trainer.family,
        parameters=trial.component.to_dict(),
        score=trial.score,
        seconds=trial.seconds,
        note=trial.note[:512],
    )


def _adopt(
    study: TuningStudy, tuned: TunedEnsemble, config: TrainingConfig, train_it: bool, progress: ProgressCallback
) -> tuple[Status, str, TrainingRun | None]:
    """Train the recipe and see what the gate says; only what went into service is used from now on."""
    in_use = study.score_in_use or 0.0
    found = f"{tuned.ensemble.algorithm}, NDCG@10 {tuned.score:.4f} on the plays it was chosen on; in use {in_use:.4f}"
    if tuned.ensemble == config.ensemble or tuned.score <= in_use:
        return Status.NO_BETTER, f"nothing better than the recipe in use was found: {found}", None
    if not train_it:
        return Status.TRIED, found, None
    trained = _train_when_possible(tuned, progress)
    detail = f"{found}. Training: {trained}"
    if trained.run and trained.run.status == TrainingRun.Status.PUBLISHED:
        return Status.ADOPTED, detail, trained.run
    if trained.run and trained.run.status == TrainingRun.Status.HELD_BACK:
        return Status.HELD_BACK, detail, trained.run
    raise RuntimeError(f"the recipe found could not be trained: {trained}")


def _train_when_possible(tuned: TunedEnsemble, progress: ProgressCallback) -> Trained:
    """A training run that is going on is waited for: the search took longer."""
    deadline = time.monotonic() + WAIT_SECONDS
    while True:
        trained = run_training("tuning", force=True, recipe=tuned.ensemble, progress=progress)
        if trained.run is not None or time.monotonic() > deadline:
            return trained
        time.sleep(POLL_SECONDS)
