"""The version in service, once a process. The pointer on disk is the truth; a message only says *look now*.

Requests read one reference. A daemon thread looks at the pointer when told to and every few seconds, loads the new
version beside the old one, and swaps. The thread starts on first use in each process: started before a fork, it would
be missing from the child. What was loaded before a fork is the children's, too.
"""

import logging
import os
import threading
import time
import zlib
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from django.conf import settings
from django.db import DatabaseError, connection

from engine.bundle.files import mapped_files
from engine.bundle.model_bundle import ModelBundle, catalogue_bundle
from engine.bundle.versions import LOAD_ERRORS, VersionStore
from interactions.selectors import load_popular_tracks
from recommendations import metrics
from recommendations.alarms import raise_alarm, resolve_alarms
from recommendations.reload_message import wait_for_reload
from recommendations.version_store import version_store
from tracks.selectors import load_track_ids

logger = logging.getLogger(__name__)
RETRY_SECONDS = 30.0  # a version that would not load is tried again: its disk may be back
CATALOGUE_SECONDS = 30.0  # how old the answer of the model-free endpoints may be
CATALOGUE_TRACKS = 20_000  # as many as the pseudo-random source needs to choose from
FileStamp = tuple[int, int, int] | None


@dataclass(frozen=True)
class LoadedModel:
    """What this process serves. problem: why it is not what should be served ("no_model", "model_unavailable") · files,
    stamps: what is mapped, and as it was."""

    bundle: ModelBundle
    problem: str | None = None
    files: tuple[Path, ...] = ()
    stamps: tuple[FileStamp, ...] = ()


class ModelCache:
    def __init__(self, versions: Callable[[], VersionStore] = version_store) -> None:
        self._versions = versions
        self.reset()
        os.register_at_fork(after_in_child=self._after_fork)

    def reset(self) -> None:
        """Forget everything; the next use starts again."""
        self._lock = threading.RLock()
        self._pid: int | None = None
        self._loaded: LoadedModel | None = None
        self._pointer_stamp: FileStamp = None
        self._retry_at = float("inf")
        self._catalogue: ModelBundle | None = None
        self.popularity_digest = 0  # the same in all processes that have read the same
        self._catalogue_until = 0.0

    def current(self) -> LoadedModel:
        """What to serve. The mapped file is looked at (a stat, 3 µs): one altered in place must not be read again."""
        if self._pid != os.getpid():
            self._start()
        loaded = self._loaded
        if loaded is None or settings.MUSICREC["MODEL_POLL_SECONDS"] == 0 or _stamps(loaded.files) != loaded.stamps:
            self.check_pointer()
            loaded = self._loaded
        assert loaded is not None
        return loaded if loaded.bundle.version else self.popularity_model(loaded.problem)

    def preload(self) -> None:
        """Load before the first request, where that is possible; where not, the first request tries again. Nothing
        begins that a fork would cut off."""
        _at_start(self._bring_up_to_date)

    def start(self) -> None:
        """The same in a process that answers, which from now on notices what is new."""
        _at_start(self._start)

    def popularity_model(self, problem: str | None = None) -> LoadedModel:
        """Return the tracks and their popularity as the database has them, which answer without a trained version."""
        if self._pid != os.getpid():
            self._start()
        expired = time.monotonic() > self._catalogue_until
        nobody_else_will = settings.MUSICREC["MODEL_POLL_SECONDS"] == 0
        if self._catalogue is None or (expired and (nobody_else_will or not len(self._catalogue.items))):
            self.refresh_popularity()
        assert self._catalogue is not None
        return LoadedModel(self._catalogue, problem)

    def check_pointer(self) -> bool:
        """Load the version pointed to, if it is another than the one served; whether anything changed."""
        with self._lock:
            stamp, loaded = self._versions().pointer_stamp(), self._loaded
            due = time.monotonic() >= self._retry_at
            if loaded and stamp == self._pointer_stamp and _stamps(loaded.files) == loaded.stamps and not due:
                return False
            self._loaded = self._load(loaded)
            if loaded and loaded.problem == "model_unavailable" and self._loaded.problem is None:
                resolve_alarms("model_unavailable")
            if self._pid == os.getpid():
                metrics.set_served_version(self._loaded.bundle.version)
            self._pointer_stamp = stamp
            failed = self._loaded.problem == "model_unavailable"
            self._retry_at = time.monotonic() + RETRY_SECONDS if failed else float("inf")
            return True

    def refresh_popularity(self) -> None:
        ids, popular = load_track_ids(CATALOGUE_TRACKS), load_popular_tracks()
        self._catalogue = catalogue_bundle(np.append(ids, np.fromiter(popular, np.int64)), popular)
        self.popularity_digest = _digest(self._catalogue)
        self._catalogue_until = time.monotonic() + (CATALOGUE_SECONDS if len(ids) else 1)

    def _load(self, before: LoadedModel | None) -> LoadedModel:
        versions = self._versions()
        try:
            pointer = versions.pointer()
        except LOAD_ERRORS as error:
            return self._unavailable("pointer", error, before, [])
        if pointer is None and before and before.bundle.version:
            return self._unavailable("pointer", FileNotFoundError("current.json is gone"), before, [])
        if pointer is None:
            return LoadedModel(catalogue_bundle([]), "no_model")
        try:
            return self._open(versions, pointer.version)
        except LOAD_ERRORS as error:
            return self._unavailable(pointer.version, error, before, [pointer.previous] if pointer.previous else [])

    def _open(self, versions: VersionStore, version: str, problem: str | None = None) -> LoadedModel:
        files = mapped_files(versions.folder(version))
        stamps = _stamps(files)
        with metrics.Timer(metrics.model_load_seconds):
            loaded = LoadedModel(versions.load(version), problem, files, stamps)
        metrics.model_loads.inc()
        logger.info("model version=%s in service, problem=%s", version, problem)
        return loaded

    def _unavailable(self, what: str, error: Exception, before: LoadedModel | None, others: list[str]) -> LoadedModel:
        """Go on with what was served, if its file is intact; else with the version before; else without a model."""
        metrics.model_load_failures.inc()
        raise_alarm("model_unavailable", what, f"{type(error).__name__}: {error}")
        if before and before.bundle.version and _still_mapped(before):
            return LoadedModel(before.bundle, "model_unavailable", before.files, _stamps(before.files))
        for version in others:
            try:
                return self._open(self._versions(), version, "model_unavailable")
            except LOAD_ERRORS:
                logger.exception("model version=%s could not be loaded either", version)
        return LoadedModel(catalogue_bundle([]), "model_unavailable")

    def _bring_up_to_date(self) -> None:
        self.check_pointer()
        if self._catalogue is None or time.monotonic() > self._catalogue_until:
            self.refresh_popularity()

    def _start(self) -> None:
        with self._lock:
            if self._pid == os.getpid():
                return
            self._bring_up_to_date()
            if self._loaded:
                metrics.set_served_version(
                    self._loaded.bundle.version
                )  # not before: whoever only loads, to fork, serves nobody
            self._pid = os.getpid()
            if settings.MUSICREC["MODEL_POLL_SECONDS"] > 0:
                threading.Thread(target=self._watch, name="model-watch", daemon=True).start()

    def _watch(self) -> None:
        for _ in wait_for_reload(settings.MUSICREC["MODEL_POLL_SECONDS"]):
            try:
                self.check_pointer()
                if time.monotonic() > self._catalogue_until:
                    self.refresh_popularity()
                    connection.close()  # a thread has a connection of its own, which nothing else would close
            except DatabaseError:
                logger.warning("the catalogue could not be refreshed", exc_info=True)
                connection.close()
            except Exception:
                logger.exception("the model watch failed, and goes on")

    def _after_fork(self) -> None:
        """The child keeps the mapped model; it needs a lock nobody holds, and a thread of its own."""
        self._lock, self._pid = threading.RLock(), None


def _at_start(work: Callable[[], None]) -> None:
    try:
        work()
    except DatabaseError:
        logger.warning("the database did not answer at start", exc_info=True)
    finally:
        connection.close()


def _digest(bundle: ModelBundle) -> int:
    return zlib.crc32(bundle.popularity.tobytes(), zlib.crc32(bundle.items.ids.tobytes()))


def _stamps(files: tuple[Path, ...]) -> tuple[FileStamp, ...]:
    return tuple(map(_stamp, files))


def _stamp(file: Path) -> FileStamp:
    try:
        s = os.stat(file)
    except OSError:
        return None
    return s.st_ino, s.st_size, s.st_mtime_ns


def _still_mapped(loaded: LoadedModel) -> bool:
    """A file that was removed or replaced stays mapped as it was; one that was changed in place may be cut short
    under the mapping, and touching it would kill the process."""
    return all(map(_is_intact, _stamps(loaded.files), loaded.stamps))


def _is_intact(now: FileStamp, then: FileStamp) -> bool:
    return now is None or then is None or now[0] != then[0] or now == then


model_cache = ModelCache()
