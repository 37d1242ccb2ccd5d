"""Put a version into service: replace the pointer, send the reload message, and refresh what is derived from the model.

Callers outside of training use `recommendations.services`, which also starts the precomputation of rankings.
"""

import numpy as np
from django.conf import settings
from django.db import IntegrityError, transaction
from django.utils import timezone
from filelock import FileLock, Timeout

from access.selectors import consent_by_user_id
from engine.bundle.model_bundle import ModelBundle
from engine.bundle.versions import LOAD_ERRORS, VersionStore
from recommendations.alarms import resolve_alarms
from recommendations.models import ModelArtifact, UserFeatures
from recommendations.reload_message import send_reload
from recommendations.training.artifacts import describe_version
from recommendations.version_store import is_foreign, version_in_service, version_store
from webhooks.models import WebhookEventType
from webhooks.services import announce

LOCK_SECONDS = 30  # replacing the pointer takes milliseconds
FEATURES_BATCH = 2_000
MAX_ATTEMPTS = 5


class CannotPublish(Exception):
    """The version does not exist, cannot be loaded, or was trained on another database."""


def publish(version: str) -> None:
    """Put a version into service.

    The version serves from the moment its name is in the pointer. If the process is killed after that, the next
    training run completes the remaining steps.

    Raises:
        CannotPublish: the version does not exist, cannot be loaded or belongs to another database; nothing has changed.
    """
    store = version_store()
    if is_foreign(version):
        raise CannotPublish(
            f"version {version} cannot be put into service: it was trained on another database; train a new one"
        )
    try:
        with publish_lock(store):
            store.publish(version)
    except FileNotFoundError as error:
        raise CannotPublish(f"version {version} cannot be put into service: its files do not exist") from error
    except (*LOAD_ERRORS, Timeout) as error:
        raise CannotPublish(f"version {version} cannot be put into service: {error}") from error
    record_publication(version)
    send_reload(version)
    resolve_alarms("model_unavailable")
    resolve_alarms("foreign_model")
    resolve_alarms("held_back")
    store_user_features(version)


@transaction.atomic
def record_publication(version: str) -> None:
    """Store when a version went into service, and tell webhooks."""
    now = timezone.now()
    ModelArtifact.objects.filter(version=version).update(published_at=now, projected_at=None)
    if artifact := ModelArtifact.objects.filter(version=version).first():
        announce(WebhookEventType.VERSION_PUBLISHED, describe_version(artifact) | {"published_at": now})


def roll_back() -> str:
    """Put the version before the one in service back into service, and return its name.

    Raises:
        CannotPublish: there is no previous version, or it cannot be loaded; nothing has changed.
    """
    try:
        pointer = version_store().pointer()
    except LOAD_ERRORS as error:
        raise CannotPublish(f"the previous version is unknown: {error}") from error
    if pointer is None or pointer.previous is None:
        raise CannotPublish("there is no version before the one in service")
    publish(pointer.previous)
    return pointer.previous


def store_user_features(version: str) -> None:
    """Replace the rows of `user_features` by the listener factors of `version`.

    Running it twice, or killing it and running it again, does no harm.
    """
    bundle = version_store().load(version, verify=False)
    for start in range(0, len(bundle.users), FEATURES_BATCH):
        rows = range(start, min(start + FEATURES_BATCH, len(bundle.users)))
        # A listener who is erased between reading the consent and the commit violates the foreign key: try again.
        for attempts_left in reversed(range(MAX_ATTEMPTS)):
            try:
                UserFeatures.objects.bulk_create(
                    _build_user_features(bundle, rows),
                    update_conflicts=True,
                    unique_fields=["user"],
                    update_fields=["version", "embedding", "interactions", "updated_at"],
                )
                break
            except IntegrityError:
                if not attempts_left:
                    raise
    if version_in_service() != version:  # another version was published meanwhile, and stores its own
        return
    UserFeatures.objects.exclude(version=version).delete()
    ModelArtifact.objects.filter(version=version).update(projected_at=timezone.now())


def user_features_are_stored(version: str) -> bool:
    """Return whether the last step of publishing `version` was completed."""
    completed = ModelArtifact.objects.filter(version=version, projected_at__isnull=False).exists()
    return completed and not UserFeatures.objects.exclude(version=version).exists()


def prune_versions() -> list[str]:
    """Remove the files of all but the newest MUSICREC_MODEL_KEEP versions, and return the names of those removed.

    The version in service and the one before it always stay.
    """
    store = version_store()
    recorded = list(ModelArtifact.objects.filter(pruned_at=None).order_by("pk").values_list("version", flat=True))
    with publish_lock(store), transaction.atomic():
        removed = store.prune(settings.MUSICREC["MODEL_KEEP"], recorded)
        ModelArtifact.objects.filter(version__in=removed).update(pruned_at=timezone.now())
    return removed


def publish_lock(store: VersionStore) -> FileLock:
    """Return the lock that must be held to change the pointer or to remove versions."""
    store.root.mkdir(parents=True, exist_ok=True)
    return FileLock(store.root / "publish.lock", timeout=LOCK_SECONDS)


def _build_user_features(bundle: ModelBundle, rows: range) -> list[UserFeatures]:
    """Return the features of the listeners in these rows who still exist and consent."""
    consent = consent_by_user_id([int(bundle.users.ids[row]) for row in rows])
    return [
        UserFeatures(
            user_id=int(bundle.users.ids[row]),
            version=str(bundle.version),
            embedding=np.asarray(bundle.user_factors[row], "<f4").tobytes(),
            interactions=int(bundle.user_stamps[row, 0]),
        )
        for row in rows
        if consent.get(int(bundle.users.ids[row]))
    ]
