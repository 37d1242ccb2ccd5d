"""Train, tune, watch, publish and roll back: the use cases that the commands, the tasks and the admin call.

The training package does not import serving. Therefore the precomputation of rankings, which follows each publication,
is started here.
"""

import logging
from datetime import timedelta

from celery import Task
from django.conf import settings
from django.utils import timezone
from kombu.exceptions import OperationalError

from common.background import start_background_task
from common.database_connections import release_connections
from engine.policy import Policy
from engine.training import ProgressCallback
from interactions.services import delete_in_batches
from recommendations.alarms import WEBHOOK_FAILING, raise_alarm, resolve_alarms
from recommendations.mixes.tasks import make_mixes
from recommendations.models import Alarm, Radio, StoredMixes, TrainingRun, TuningStudy
from recommendations.policies.in_use import load_policies_in_use
from recommendations.policies.services import use_policy
from recommendations.serving.precomputed import is_enabled
from recommendations.serving.tasks import precompute_active
from recommendations.training import publish
from recommendations.training.publish import CannotPublish
from recommendations.training.run import TrainingResult, run_training
from recommendations.training.schedule import SCHEDULE
from recommendations.training.tuning import TuningResult, run_tuning
from recommendations.training.watch import claim_missed_training, notice_killed_runs
from recommendations.version_store import version_in_service
from webhooks.selectors import describe_failure, failing_endpoints

__all__ = [
    "CannotPublish",
    "delete_old_mixes",
    "delete_old_radios",
    "notice_killed_runs",
    "publish_version",
    "put_policy_into_use",
    "request_training",
    "roll_back",
    "start_precomputation",
    "train_model",
    "tune_model",
    "watch_training",
    "watch_webhooks",
]
logger = logging.getLogger(__name__)
OLD_ROWS_NOT_DELETED = "old_rows_not_deleted"
EXPIRY_SECONDS = 3600  # of the message that makes up for a missed run


class TrainingInProgress(Exception):
    """Another training run has not finished; the argument is its id."""


def train_model(
    trigger: str,
    *,
    force: bool = False,
    waiting_run: int | None = None,
    progress: ProgressCallback = lambda stage, done, total: None,
) -> TrainingResult:
    """Train a version and publish it if the gate lets it pass; see `run_training`.

    Old radios and mixes are deleted before, and the mixes of the day are made after it, whatever came of it.
    """
    _try_to_delete_old_rows()
    try:
        result = run_training(
            trigger, force=force, policies=load_policies_in_use(), waiting_run=waiting_run, progress=progress
        )
    finally:
        start_making_mixes()
    if result.run and result.run.artifact and result.run.status == TrainingRun.Status.PUBLISHED:
        start_precomputation(result.run.artifact.version)
    return result


def _try_to_delete_old_rows() -> None:
    """Delete old radios and mixes, or raise an alarm: the version must not wait for it."""
    try:
        delete_old_radios()
        delete_old_mixes()
    except Exception as error:
        logger.warning("old radios or mixes were not deleted", exc_info=True)
        release_connections()  # one may be what failed
        raise_alarm(
            OLD_ROWS_NOT_DELETED, "", f"old rows were not deleted, the next training tries again: {_describe(error)}"
        )
    else:
        resolve_alarms(OLD_ROWS_NOT_DELETED)


def _describe(error: Exception) -> str:
    return " ".join(f"{type(error).__name__}: {error}".split())  # messages of databases have several lines


def delete_old_radios() -> int:
    """Delete the radios that have not been asked for MUSICREC_RADIO_DAYS days, and return their number."""
    days = settings.MUSICREC["RADIO_DAYS"]
    if not days:
        return 0
    return delete_in_batches(Radio.objects.filter(used_at__lt=timezone.now() - timedelta(days=days)))


def delete_old_mixes() -> int:
    """Delete the mixes of earlier days, and return the number of rows."""
    return delete_in_batches(StoredMixes.objects.filter(day__lt=timezone.now().date()))


def request_training(training_task: Task) -> TrainingRun:
    """Start a training run in the background, as *Train now* does, and return its row, which is waiting at first.

    Args:
        training_task: the Celery task that trains; see `watch_training`.

    Raises:
        TrainingInProgress: another run has not finished.
        BrokerUnavailable: a broker is configured and does not answer.
    """
    notice_killed_runs()
    unfinished = TrainingRun.objects.filter(status__in=[TrainingRun.Status.WAITING, TrainingRun.Status.RUNNING])
    if other := unfinished.first():
        raise TrainingInProgress(other.pk)
    run = TrainingRun.objects.create(trigger="api", status=TrainingRun.Status.WAITING)
    try:
        command = ["train_model", "--trigger", "api", "--waiting-run", str(run.pk)]
        start_background_task(training_task, "api", run.pk, command=command, log="training.log")
    except BaseException:
        run.delete()
        raise
    return run


def tune_model(
    trigger: str,
    *,
    seconds: float | None = None,
    train_best: bool = True,
    progress: ProgressCallback = lambda stage, done, total: None,
) -> TuningResult:
    """Search for a better ensemble and train it; see `run_tuning`."""
    result = run_tuning(
        trigger, seconds=seconds, train_best=train_best, policies=load_policies_in_use(), progress=progress
    )
    if result.study and result.study.artifact and result.study.status == TuningStudy.Status.ADOPTED:
        start_precomputation(result.study.artifact.version)
    return result


def watch_training(training_task: Task) -> None:
    """Raise alarms for runs that were killed or missed, and start those that were missed.

    Args:
        training_task: the Celery task that trains. The module of the tasks imports this one, not the reverse.
    """
    notice_killed_runs()
    if claim_missed_training():
        try:
            training_task.apply_async([SCHEDULE], retry=False, expires=EXPIRY_SECONDS)
        except OperationalError as error:
            logger.warning("the missed training run is not started yet: %s", error)


def watch_webhooks() -> None:
    """Raise an alarm for each webhook endpoint that has failed for a day, and resolve those of endpoints that work."""
    failing = {endpoint.name: endpoint for endpoint in failing_endpoints()}
    resolve_alarms(WEBHOOK_FAILING, except_subjects=failing.keys())
    known = Alarm.objects.filter(kind=WEBHOOK_FAILING, resolved_at=None).values_list("subject", flat=True)
    for name in failing.keys() - set(known):
        raise_alarm(WEBHOOK_FAILING, name, describe_failure(failing[name]))


def publish_version(version: str) -> None:
    """Put a version into service. Raises CannotPublish, and then nothing has changed."""
    publish.publish(version)
    start_precomputation(version)


def roll_back() -> str:
    """Put the previous version back into service, and return its name. Raises CannotPublish."""
    version = publish.roll_back()
    start_precomputation(version)
    return version


def put_policy_into_use(name: str, version: int) -> Policy:
    """Make a version of a policy the one in use; version 0 returns to the one that is built in.

    Requests get it from the next one on. Rankings that were precomputed by the policies before are computed anew.

    Raises:
        UnknownPolicy: it does not exist, or this release cannot read it. Nothing has changed then.
    """
    policy = use_policy(name, version)
    if model_version := version_in_service():
        start_precomputation(model_version)
    return policy


def start_making_mixes() -> None:
    """Have a worker make the mixes of active listeners; without a broker they are made on request."""
    if not (settings.CELERY_BROKER_URL and settings.MUSICREC["AHEAD_LISTENERS"]):
        return
    try:
        make_mixes.apply_async(retry=False)
    except OperationalError as error:
        logger.warning("no mixes are made ahead of requests: %s", error)


def start_precomputation(version: str) -> None:
    """Have a worker compute the rankings of active listeners; without a broker they are computed on request."""
    if not (settings.CELERY_BROKER_URL and is_enabled()):
        return
    try:
        precompute_active.apply_async([version], retry=False)
    except OperationalError as error:
        logger.warning("no rankings are precomputed for version=%s: %s", version, error)
