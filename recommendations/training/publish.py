"""Put a version into service: replace the pointer, tell everybody, refresh what is derived from it."""

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
from recommendations.reload_message import ask_for_warming, send_reload
from recommendations.version_store import version_in_service, version_store

LOCK_SECONDS = 30  # replacing the pointer takes milliseconds
_FEATURES_AT_ONCE = 2_000
_TRIES = 5


class CannotPublish(Exception):
    """The version is not there, or does not load."""


def publish(version: str) -> None:
    """Serve `version` from now on. Raises CannotPublish, and nothing has changed."""
    versions = version_store()
    try:
        with publish_lock(versions):
            versions.publish(version)
    except FileNotFoundError as error:
        raise CannotPublish(f"version {version} cannot be put into service: its files are not there") from error
    except (*LOAD_ERRORS, Timeout) as error:
        raise CannotPublish(f"version {version} cannot be put into service: {error}") from error
    ModelArtifact.objects.filter(version=version).update(published_at=timezone.now(), projected_at=None)
    send_reload(version)
    resolve_alarms("model_unavailable")
    resolve_alarms("held_back")
    store_user_features(version)
    ask_for_warming(version)


def roll_back() -> str:
    """Serve the version before the one in service; gives its name. Raises CannotPublish where there is none."""
    try:
        pointer = version_store().pointer()
    except LOAD_ERRORS as error:
        raise CannotPublish(f"which version was before is not known: {error}") from error
    if pointer is None or pointer.previous is None:
        raise CannotPublish("there is no version before the one in service")
    publish(pointer.previous)
    return pointer.previous


def store_user_features(version: str) -> None:
    """Make `user_features` those of `version`. Safe to repeat, and to be killed in."""
    bundle = version_store().load(version, verify=False)
    for start in range(0, len(bundle.users), _FEATURES_AT_ONCE):
        _keep_features(bundle, range(start, min(start + _FEATURES_AT_ONCE, len(bundle.users))))
    if version_in_service() != version:  # another one was published meanwhile, and projects itself
        return
    UserFeatures.objects.exclude(version=version).delete()
    ModelArtifact.objects.filter(version=version).update(projected_at=timezone.now())


def user_features_are_stored(version: str) -> bool:
    """Whether publishing `version` came to its end."""
    finished = ModelArtifact.objects.filter(version=version, projected_at__isnull=False).exists()
    return finished and not UserFeatures.objects.exclude(version=version).exists()


def prune_versions() -> list[str]:
    """Remove the files of all but the newest versions; gives the removed."""
    versions = version_store()
    recorded = list(ModelArtifact.objects.filter(pruned_at=None).order_by("pk").values_list("version", flat=True))
    with publish_lock(versions), transaction.atomic():
        removed = versions.prune(settings.MUSICREC["MODEL_KEEP"], recorded)
        ModelArtifact.objects.filter(version__in=removed).update(pruned_at=timezone.now())
    return removed


def publish_lock(versions: VersionStore) -> FileLock:
    versions.root.mkdir(parents=True, exist_ok=True)
    return FileLock(versions.root / "publish.lock", timeout=LOCK_SECONDS)


def _keep_features(bundle: ModelBundle, rows: range) -> None:
    """Of those who are still there. A listener erased between the look and the commit makes it look again."""
    for tries_left in reversed(range(_TRIES)):
        try:
            UserFeatures.objects.bulk_create(
                _features(bundle, rows),
                update_conflicts=True,
                unique_fields=["user"],
                update_fields=["version", "embedding", "interactions", "updated_at"],
            )
            return
        except IntegrityError:
            if not tries_left:
                raise


def _features(bundle: ModelBundle, rows: range) -> list[UserFeatures]:
    there = consent_by_user_id([int(bundle.users.ids[r]) for r in rows])
    return [
        UserFeatures(
            user_id=int(bundle.users.ids[r]),
            version=str(bundle.version),
            embedding=np.asarray(bundle.user_factors[r], "<f4").tobytes(),
            interactions=int(bundle.user_stamps[r, 0]),
        )
        for r in rows
        if there.get(int(bundle.users.ids[r]))
    ]
