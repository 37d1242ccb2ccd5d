"""The model folder of this installation: the versions on disk, and the pointer that says which one is in service."""

from django.conf import settings

from engine.bundle.versions import LOAD_ERRORS, Pointer, VersionStore


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
    """Return the name of the version in service, or None if there is none or the pointer cannot be read."""
    pointer = current_pointer()
    return pointer.version if pointer else None
