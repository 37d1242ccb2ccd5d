"""The model folder of this installation: the versions on disk, and the pointer that says which one is in service.

A version names tracks and listeners by the ids of one database. Each database has a random id of its own, and each
version carries the id of the database that it was trained on, so that it does not serve another one.
"""

from collections.abc import Mapping
from typing import Any
from uuid import UUID

from django.conf import settings

from engine.bundle.versions import LOAD_ERRORS, Pointer, VersionStore
from recommendations.models import Installation


def version_store() -> VersionStore:
    """Return the store of the folder that MUSICREC_MODEL_DIR names."""
    return VersionStore(settings.MUSICREC["MODEL_DIR"])


def current_pointer() -> Pointer | None:
    """Return the pointer, or None if nothing was published yet or the pointer cannot be read."""
    try:
        return version_store().pointer()
    except LOAD_ERRORS:
        return None


def version_in_service() -> str | None:
    """Return the name of the version in service.

    None if there is none, if the pointer cannot be read, or if it names a version of another database, which does not
    serve.
    """
    pointer = current_pointer()
    return pointer.version if pointer and not is_foreign(pointer.version) else None


def is_foreign(version: str) -> bool:
    """Return whether a version was trained on another database; False if its manifest cannot be read."""
    try:
        return was_trained_elsewhere(version_store().manifest(version), find_installation_id())
    except LOAD_ERRORS:
        return False


def was_trained_elsewhere(manifest: Mapping[str, Any], installation: UUID | None) -> bool:
    """Return whether a manifest names another database than `installation`.

    Versions of earlier releases name none, and count as trained on this one.
    """
    return manifest.get("installation") not in (None, str(installation))


def find_installation_id() -> UUID | None:
    """Return the id of this database, or None if no version was trained on it yet."""
    return Installation.objects.values_list("identity", flat=True).first()


def get_installation_id() -> UUID:
    """Return the id of this database, which is created on first use."""
    return Installation.objects.get_or_create(pk=1)[0].identity
