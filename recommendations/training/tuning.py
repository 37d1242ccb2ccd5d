"""The tuning study: search for a better ensemble, train it, and let the gate decide about it."""

import hashlib
import logging
import socket
import time
from collections.abc import Mapping
from dataclasses import dataclass, replace

import numpy as np
from django.conf import settings
from django.utils import timezone
from filelock import FileLock, Timeout
from numpy.typing import NDArray

from common.database_connections import release_connections, write_reliably
from engine.data.id_map import IdMap
from engine.data.plays import Plays
from engine.data.sample import sample_listeners
from engine.data.split import hold_out_count, split_plays
from engine.data.user_item_pairs import UserItemPairs
from engine.ensemble import ComponentConfig
from engine.fitting import fit_ensemble
from engine.pipeline import POLICIES, Policy
from engine.training import ProgressCallback, TrainingConfig
from engine.tuning import Trial, TunedEnsemble, tune
from engine.tuning.validation_metric import ValidationMetric
from recommendations.alarms import resolve_alarms
from recommendations.models import TrainingRun, TuningStudy, TuningTrial
from recommendations.training.artifacts import ensemble_in_service
from recommendations.training.config import training_config
from recommendations.training.run import (
    LOCK_SECONDS,
    TrainingResult,
    lower_priority,
    read_plays,
    report_failure,
    run_training,
)
from recommendations.training.schedule import SCHEDULE, duplicate_of_tuning
from recommendations.training.watch import close_killed_rows
from recommendations.version_store import version_store
from tracks.selectors import load_track_ids

logger = logging.getLogger(__name__)
Status = TuningStudy.Status
WAIT_SECONDS = 6 * 3600.0  # how long to wait for another training run: as long as one may take
POLL_SECONDS = 10.0


@dataclass(frozen=True)
class TuningResult:
    """How a study ended; `study` is None if another study held the lock."""

    status: str
    detail: str
    study: TuningStudy | None = None

    def __str__(self) -> str:
        return f"{self.status}: {self.detail}"


def run_tuning(
    trigger: str,
    *,
    seconds: float | None = None,
    train_best: bool = True,
    policies: Mapping[str, Policy] = POLICIES,
    progress: ProgressCallback = lambda stage, done, total: None,
) -> TuningResult:
    """Find the best ensemble for the recorded plays, train it, and use it every night if the gate lets it pass.

    A failure does not raise: it becomes a result, a row, an alarm and a log line. A study that was killed is resumed
    if the plays are still the same.

    Args:
        trigger: what started the study, for its row.
        seconds: the time budget of the search; by default MUSICREC_TUNING_SECONDS.
        train_best: False to record the best ensemble without training it.
        policies: see `run_training`.
        progress: called with the stage, the steps done and the steps in all.
    """
    lower_priority()
    store = version_store()
    store.root.mkdir(parents=True, exist_ok=True)
    lock = FileLock(store.root / "tuning.lock", timeout=LOCK_SECONDS)  # the kernel releases it when its holder dies
    try:
        lock.acquire()
    except Timeout:
        return TuningResult("Already running", "another tuning study has not finished")
    try:
        if trigger == SCHEDULE and (duplicate := duplicate_of_tuning()):
            return TuningResult(
                "Not due",
                f"a scheduled study began at {duplicate.started_at:%Y-%m-%d %H:%M} UTC; use Tune now for another",
            )
        budget = seconds or settings.MUSICREC["TUNING_SECONDS"]
        study = TuningStudy(trigger=trigger[:32], budget_seconds=budget, host=socket.gethostname())
        try:
            config = _config_in_use()
            # The plays have no variable here, so that their memory is free before the search begins.
            data = _split_tuning_data(read_plays(progress), load_track_ids(), config)
            study = _resume_or_save(study, data)
            tuned = _search(study, data, config, progress)
            study.recipe, study.score, study.best_of = tuned.ensemble.to_dict(), tuned.score, tuned.best_scores
            study.score_in_use = data.mean_ndcg(config)
            study.save()
            release_connections()
            status, answer, run = _train_if_better(study, tuned, config, train_best, policies, progress)
            study.artifact = run.artifact if run else None
        except Exception as error:
            status = Status.FAILED
            study.detail, answer = report_failure(error, "tuning_failed", "Tuning studies")
        else:
            study.detail = answer
            resolve_alarms("tuning_failed")
        study.status, study.finished_at = status, timezone.now()
        write_reliably(study.save)
        logger.info("tuning study=%s %s", study.pk, status)
        return TuningResult(str(Status(status).label), answer, study)
    finally:
        lock.release()


def _config_in_use() -> TrainingConfig:
    """Return the configuration to improve: where training runs choose among candidates, with what serves now."""
    config = training_config()
    in_service = ensemble_in_service() if config.candidates else None
    return replace(config, ensemble=in_service or config.ensemble, candidates=())


@dataclass(frozen=True)
class TuningData:
    """The plays on which an ensemble is chosen, without those on which the gate judges it later."""

    past: UserItemPairs
    future: UserItemPairs
    shape: tuple[int, int]
    split: str
    fingerprint: str

    def mean_ndcg(self, config: TrainingConfig) -> float:
        """Return NDCG@10 of the ensemble of `config`, measured as the search measures it."""
        fitted = fit_ensemble(self.past, self.shape, config.ensemble, seed=config.seed, threads=config.threads)
        metric = ValidationMetric.from_pairs(
            self.past, self.future, self.shape, config.seed, config.threads, config.question
        )
        return round(metric.mean_ndcg(fitted.build_scorer()), 5)


def _split_tuning_data(plays: Plays, track_ids: NDArray[np.int64], config: TrainingConfig) -> TuningData:
    """Split off the plays that training will hold out, and hold out about as many of the rest in the same way.

    `new_users` becomes `ratio` here: trials only score listeners that the fitted models have seen.
    """
    for_gate = split_plays(plays, config.split, config.holdout, config.seed)
    sample = sample_listeners(for_gate.past, settings.MUSICREC["TUNING_PAIRS"], config.seed)
    if config.split == "new_users":  # the share of their own plays that new listeners are judged on
        split = split_plays(sample, "ratio", config.holdout, config.seed)
    else:
        count = len(for_gate.future) * len(sample) / max(len(for_gate.past), 1)
        split = hold_out_count(sample, for_gate.kind, count, config.seed)
    users, items = IdMap.from_ids(sample.user), IdMap.from_ids(track_ids)
    past, future = (UserItemPairs.from_plays(plays, users, items) for plays in (split.past, split.future))
    digest = hashlib.blake2b(
        b"".join(
            (
                split.past.fingerprint().encode(),
                split.future.fingerprint().encode(),
                track_ids.tobytes(),
                f"{split.kind} {config.question}".encode(),
            )
        ),
        digest_size=16,
    )
    return TuningData(past, future, (len(users), len(items)), split.kind, digest.hexdigest())


def _resume_or_save(study: TuningStudy, data: TuningData) -> TuningStudy:
    """Return the killed study over the same plays, or else `study`, saved. Close all other killed studies."""
    newest = TuningStudy.objects.order_by("pk").last()
    unfinished = [Status.RUNNING, Status.INTERRUPTED]
    killed = TuningStudy.objects.filter(status=Status.RUNNING)
    if newest and newest.status in unfinished and newest.fingerprint == data.fingerprint:
        close_killed_rows(killed.exclude(pk=newest.pk), "tuning_failed", Status.INTERRUPTED)
        newest.status, newest.detail, newest.finished_at = Status.RUNNING, "", None
        newest.save()
        return newest
    close_killed_rows(killed, "tuning_failed", Status.INTERRUPTED)
    study.fingerprint, study.split = data.fingerprint, data.split
    study.save()
    return study


def _search(study: TuningStudy, data: TuningData, config: TrainingConfig, progress: ProgressCallback) -> TunedEnsemble:
    """Run the search for the rest of the budget, with the trials of a resumed study as its beginning."""
    previous_trials = [
        Trial(ComponentConfig.from_dict(row.parameters), row.score, row.seconds, row.note) for row in study.trials.all()
    ]
    spent, started = sum(trial.seconds for trial in previous_trials), time.perf_counter()

    def save_trial(trial: Trial) -> None:
        TuningTrial.objects.create(
            study=study,
            number=study.trials.count() + 1,
            family=trial.component.trainer.family,
            parameters=trial.component.to_dict(),
            score=trial.score,
            seconds=trial.seconds,
            note=trial.note[:512],
        )
        release_connections()

    release_connections()  # a trial may take minutes
    tuned = tune(
        data.past,
        data.future,
        data.shape,
        seconds=max(study.budget_seconds - spent, 1.0),
        question=config.question,
        initial=config.ensemble,
        previous_trials=previous_trials,
        seed=config.seed,
        threads=config.threads,
        on_trial=save_trial,
        progress=lambda done, total: progress("tune", done, total),
    )
    study.seconds = round(spent + time.perf_counter() - started, 3)
    return tuned


def _train_if_better(
    study: TuningStudy,
    tuned: TunedEnsemble,
    config: TrainingConfig,
    train_best: bool,
    policies: Mapping[str, Policy],
    progress: ProgressCallback,
) -> tuple[Status, str, TrainingRun | None]:
    """Train the best ensemble if it beats the one in use; the gate decides whether it is used from now on."""
    in_use = study.score_in_use or 0.0
    summary = (
        f"{tuned.ensemble.algorithm}, NDCG@10 {tuned.score:.4f} for the question {config.question} on the plays it was "
        f"chosen on; in use {in_use:.4f}"
    )
    if tuned.ensemble == config.ensemble or tuned.score <= in_use:
        return Status.NO_BETTER, f"nothing better than the ensemble in use was found: {summary}", None
    if not train_best:
        return Status.TRIED, summary, None
    result = _train_when_unlocked(tuned, policies, progress)
    detail = f"{summary}. Training: {result}"
    if result.run and result.run.status == TrainingRun.Status.PUBLISHED:
        return Status.ADOPTED, detail, result.run
    if result.run and result.run.status == TrainingRun.Status.HELD_BACK:
        return Status.HELD_BACK, detail, result.run
    raise RuntimeError(f"the best ensemble could not be trained: {result}")


def _train_when_unlocked(
    tuned: TunedEnsemble, policies: Mapping[str, Policy], progress: ProgressCallback
) -> TrainingResult:
    """Train the ensemble, waiting for another training run to end: the result of a long search must not be lost."""
    deadline = time.monotonic() + WAIT_SECONDS
    while True:
        result = run_training("tuning", force=True, ensemble=tuned.ensemble, policies=policies, progress=progress)
        if result.run is not None or time.monotonic() > deadline:
            return result
        time.sleep(POLL_SECONDS)
