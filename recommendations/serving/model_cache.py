"""The model version that this process serves, extended by the tracks that came after its training.

The pointer on disk is the truth; a reload message only says when to look at it. Requests read one reference. A daemon
thread checks the pointer at each message and every few seconds, loads a new version beside the old one, and swaps the
reference. The thread starts on first use in each process, because a thread does not survive a fork. What was loaded
before a fork is shared with the children.

Tracks that the version does not know are read again when the catalogue has another revision. Every request brings the
current revision, so noticing that costs nothing: the request that notices it reads them if that was quick the last
time, else the thread does.
"""

import hashlib
import logging
import os
import threading
import time
import zlib
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from pathlib import Path
from uuid import UUID

import numpy as np
from django.conf import settings
from django.core.cache import cache
from django.db import Error, connection
from numpy.typing import NDArray

from common.cache_keys import cache_key
from engine.bundle.files import FIRST_VERSION_WITH_FEATURES, mapped_files
from engine.bundle.live_lists import LiveLists
from engine.bundle.model_bundle import ModelBundle, catalogue_bundle
from engine.bundle.versions import LOAD_ERRORS, VersionStore
from engine.data.plays import Plays
from engine.data.track_features import TrackFeatures
from engine.extension import FreshTracks, extend_bundle
from interactions.charts.selectors import load_trending
from interactions.selectors import consenting_listeners, latest_interaction_id, load_popular_tracks
from interactions.training_data import CHUNK_ROWS, read_plays_between
from recommendations import metrics
from recommendations.alarms import raise_alarm, resolve_alarms
from recommendations.reload_message import wait_for_reload
from recommendations.version_store import find_installation_id, version_store, was_trained_elsewhere
from tracks.features import load_content_features, load_track_features
from tracks.selectors import catalogue_revision, load_newest_track_ids, load_track_ids

logger = logging.getLogger(__name__)
RETRY_SECONDS = 30.0  # until a version that could not be loaded is tried again: its disk may be back
CATALOGUE_SECONDS = 30.0  # how old the popularity of the answers without a model may be
CATALOGUE_TRACKS = 20_000  # enough for the pseudo-random source to choose from
MAX_FRESH_TRACKS = 20_000  # that a version is extended by, the newest ones: of more, the next training learns
ID_OVERLAP = 1_000  # ids up to the greatest of a version that are looked at again, since commits are not in their order
QUICK_SECONDS = 0.05  # a request reads fresh tracks itself if that took less the last time
MIN_PAUSE_SECONDS = 1.0  # between two readings of fresh tracks
MAX_LOAD = 0.1  # the share of time that is spent on each kind of slow reading while the catalogue keeps changing
NEW_PLAYS_SECONDS = 600  # between two movements of the vectors of tracks that have not been learned
MAX_NEW_PLAYS = 5_000_000  # that a process looks at, the newest ones
UNREAD = -1  # no catalogue has this revision
FileStamp = tuple[int, int, int] | None


@dataclass(frozen=True)
class LoadedModel:
    """A bundle in memory.

    Attributes:
        problem: why it is not the one that should be served: "no_model", "model_unavailable" or "foreign_model".
        files: the memory-mapped files.
        stamps: inode, size and modification time of these files when they were mapped.
        last_interaction: the id of the last interaction that the version has learned from; None if it is not known.
        trained: the version itself, where `bundle` was extended.
        digest: of what it was extended by: equal in all processes that have read the same.
    """

    bundle: ModelBundle
    problem: str | None = None
    files: tuple[Path, ...] = ()
    stamps: tuple[FileStamp, ...] = ()
    last_interaction: int | None = None
    trained: ModelBundle | None = None
    digest: str = ""


@dataclass(frozen=True)
class NewPlays:
    """Interactions since the training with tracks that the version has not learned, by listeners that it has.

    Attributes:
        version: of the model.
        last: the id of the last interaction that was looked at.
        plays: those that were found.
    """

    version: str | None = None
    last: int = 0
    plays: Plays = field(default_factory=Plays.empty)


class ForeignVersion(Exception):
    """The version was trained on another database, and its ids of tracks and listeners mean others there."""


class ModelCache:
    """Holds the served version, and the popularity of the catalogue for answers without one."""

    def __init__(self, versions: Callable[[], VersionStore] = version_store) -> None:
        self._versions = versions
        self.reset()
        os.register_at_fork(after_in_child=self._after_fork)

    def reset(self) -> None:
        """Forget everything, as in a process that has just started."""
        self._lock = threading.RLock()
        self._popularity_lock = threading.Lock()  # nothing else is locked while it is held
        self._popularity_read_at = float("-inf")
        self._pid: int | None = None
        self._loaded: LoadedModel | None = None
        self._pointer_stamp: FileStamp = None
        self._retry_at = float("inf")
        self._catalogue: ModelBundle | None = None
        self.catalogue_revision: int | None = None  # of the catalogue when its tracks and popularity were read
        self.unlisted_after: int | None = None  # tracks with a greater id are not all in that bundle; None if all are
        self.popularity_digest = 0  # equal in all processes that have read the same tracks and popularity
        self._catalogue_until = 0.0
        self._new_plays = NewPlays()
        self._features_revision: int | None = UNREAD  # of the catalogue when the features of these tracks were read
        self._features_due = float("-inf")
        self._trending: list[tuple[int, float]] = []
        self._trending_until = 0.0
        self._extended_at_revision: int | None = UNREAD  # the revision of the catalogue when fresh tracks were read
        self._needs_extension = False
        self._extension_seconds, self._extension_due = 0.0, float("-inf")
        self._installation: UUID | None = None  # the id of the database for which the version was chosen

    def current(self) -> LoadedModel:
        """Return the model to serve.

        Each call stats the mapped files (3 µs), because reading a file that was truncated in place kills the process.
        """
        if self._pid != os.getpid():
            self._start()
        loaded = self._loaded
        if loaded is None or settings.MUSICREC["MODEL_POLL_SECONDS"] == 0 or _stamps(loaded.files) != loaded.stamps:
            self._bring_up_to_date()
            loaded = self._loaded
        assert loaded is not None
        return loaded if loaded.bundle.version else self.popularity_model(loaded.problem)

    def notice_revision(self, revision: int | None) -> None:
        """Read the tracks that came after training if the catalogue has changed since this process did.

        If that may take long, it is left to the thread, which does it within seconds.

        Args:
            revision: the current one of the catalogue.
        """
        loaded = self._loaded
        if loaded is None:
            return
        if revision == (self._extended_at_revision if loaded.bundle.version else self.catalogue_revision):
            return
        self._needs_extension = True
        has_no_watch_thread = settings.MUSICREC["MODEL_POLL_SECONDS"] == 0
        is_cheap = self._extension_seconds < QUICK_SECONDS and time.monotonic() >= self._extension_due
        if (has_no_watch_thread or is_cheap) and self._lock.acquire(blocking=has_no_watch_thread):
            try:
                self._refresh_extension()
            finally:
                self._lock.release()

    def preload(self) -> None:
        """Load the version before the first request, and before the process forks: no thread is started."""
        _at_start(self._bring_up_to_date)

    def start(self) -> None:
        """Load the version in a process that answers requests, and watch for new ones."""
        _at_start(self._start)

    def popularity_model(self, problem: str | None = None) -> LoadedModel:
        """Return the tracks and their popularity as the database has them, which answer without a trained version."""
        if self._pid != os.getpid():
            self._start()
        expired = time.monotonic() > self._catalogue_until
        has_no_watch_thread = settings.MUSICREC["MODEL_POLL_SECONDS"] == 0
        if self._catalogue is None or (expired and (has_no_watch_thread or not len(self._catalogue.items))):
            self.refresh_popularity()
        assert self._catalogue is not None
        return LoadedModel(self._catalogue, problem)

    def check_pointer(self) -> bool:
        """Load the version that the pointer names unless it is served already. Return whether anything changed."""
        with self._lock:
            stamp, loaded = self._versions().pointer_stamp(), self._loaded
            due = time.monotonic() >= self._retry_at
            if loaded and stamp == self._pointer_stamp and _stamps(loaded.files) == loaded.stamps and not due:
                return False
            self._loaded = self._extend(self._load(loaded))
            if loaded and loaded.problem and self._loaded.problem is None:
                resolve_alarms(loaded.problem)
            if self._pid == os.getpid():
                metrics.set_served_version(self._loaded.bundle.version)
            self._pointer_stamp = stamp
            failed = self._loaded.problem == "model_unavailable"
            self._retry_at = time.monotonic() + RETRY_SECONDS if failed else float("inf")
            return True

    def refresh_popularity(self) -> None:
        """Read tracks and their popularity from the database.

        If that turns out to be another database, because a backup was restored, say, the next check of the pointer
        decides again whether the version may serve. A thread that waits for another one takes what that has read, if
        the reading began after the call: after a mass deletion, many requests call this at once.
        """
        called_at = time.monotonic()
        if (installation := find_installation_id()) != self._installation:
            with self._lock:
                self._installation, self._retry_at = installation, float("-inf")
        with self._popularity_lock:
            if self._popularity_read_at > called_at:
                return
            began_at, revision = time.monotonic(), catalogue_revision()
            ids, popular = load_track_ids(CATALOGUE_TRACKS), load_popular_tracks()
            track_ids = np.unique(np.append(ids, np.fromiter(popular, np.int64)))
            features = self._load_catalogue_features(track_ids, revision)
            self._catalogue = _with_trending(catalogue_bundle(track_ids, popular, features), self._trending)
            self.popularity_digest = _digest(self._catalogue)
            self.unlisted_after = int(ids[-1]) if len(ids) == CATALOGUE_TRACKS else None
            self.catalogue_revision = revision  # read first, set last: the tracks may be newer, but never older
            self._catalogue_until = time.monotonic() + (CATALOGUE_SECONDS if len(ids) else 1)
            self._popularity_read_at = began_at

    def _refresh_trending(self) -> None:
        """Take over what is trending, and count it if no process has done so in this hour.

        Counting reads the plays of five weeks. So that no request waits for it, this is left to the thread.
        """
        counted = load_trending()
        if counted is not None and counted != self._trending:
            self._trending, self._needs_extension = counted, True
            self._catalogue_until = 0.0  # the answers without a model show it, too
        self._trending_until = time.monotonic() + CATALOGUE_SECONDS

    def _load_catalogue_features(self, track_ids: NDArray[np.int64], revision: int | None) -> TrackFeatures:
        """Return the features of tracks, as they were at the last reading if that was slow and not long ago.

        Reading them takes seconds in a large catalogue, because other tracks may be the same recordings.

        Args:
            track_ids: int64 (n,), ascending.
            revision: that of the catalogue before the ids were read.
        """
        before, began_at = self._catalogue, time.monotonic()
        is_current = revision == self._features_revision or began_at < self._features_due
        if before and is_current and np.array_equal(before.items.ids, track_ids):
            return before.features
        features = load_track_features(track_ids)
        seconds = time.monotonic() - began_at
        self._features_due = began_at + (seconds / MAX_LOAD if seconds > QUICK_SECONDS else 0)
        self._features_revision = revision
        return features

    def _refresh_extension(self) -> None:
        """Read again what the version in service does not know, or the catalogue if there is no version."""
        with self._lock:
            began_at, loaded = time.monotonic(), self._loaded
            self._needs_extension = False
            try:
                if loaded and loaded.bundle.version:
                    self._loaded = self._extend(loaded)
                else:
                    self.refresh_popularity()
            except BaseException:
                self._needs_extension = True  # nothing else would ask for it again if trending tracks have changed
                raise
            finally:
                self._extension_seconds = time.monotonic() - began_at
                self._extension_due = began_at + max(MIN_PAUSE_SECONDS, self._extension_seconds / MAX_LOAD)

    def _extend(self, loaded: LoadedModel) -> LoadedModel:
        """Return a version with the tracks that the database has and the version has not."""
        trained = loaded.trained or loaded.bundle
        if not trained.version:
            return loaded
        revision, trending = catalogue_revision(), self._trending
        known = trained.items.ids
        after = int(known[-1]) - ID_OVERLAP if len(known) else 0
        track_ids = np.setdiff1d(load_newest_track_ids(after, MAX_FRESH_TRACKS + ID_OVERLAP), known)[-MAX_FRESH_TRACKS:]
        fresh = FreshTracks(track_ids, load_track_features(track_ids), load_content_features(track_ids))
        plays = self._new_plays.plays if self._new_plays.version == trained.version else Plays.empty()
        if len(plays):  # some listeners may have withdrawn their consent since these were read
            plays = plays.where(np.isin(plays.user, list(consenting_listeners(np.unique(plays.user).tolist()))))
        self._extended_at_revision = revision  # read first: the tracks may be newer, but never older
        digest = hashlib.blake2b(repr(trending).encode(), digest_size=16)
        digest.update(fresh.features.fingerprint().encode())
        digest.update(fresh.content.fingerprint().encode())
        digest.update(plays.fingerprint().encode())
        if digest.hexdigest() == loaded.digest:
            return loaded
        bundle = _with_trending(extend_bundle(trained, fresh, plays), trending)
        metrics.fresh_tracks.set(len(fresh))
        return replace(loaded, bundle=bundle, trained=trained, digest=digest.hexdigest())

    def _read_new_plays(self) -> None:
        """Read interactions of the last minutes with tracks that the version in service has not learned.

        All processes that share a cache read up to the same interaction, which is another one every ten minutes:
        otherwise each would move its vectors at other times, and no answer could be shared.
        """
        loaded = self._loaded
        if loaded is None or loaded.last_interaction is None or loaded.bundle.content is None:
            return
        trained = loaded.trained or loaded.bundle
        key = cache_key("new-plays", int(time.time() // NEW_PLAYS_SECONDS))
        last = cache.get_or_set(key, latest_interaction_id, 2 * NEW_PLAYS_SECONDS)
        if not isinstance(last, int):
            return
        known = self._new_plays
        if known.version != trained.version:
            known = NewPlays(trained.version, max(loaded.last_interaction, last - MAX_NEW_PLAYS))
        found = []
        for first in range(known.last + 1, last + 1, CHUNK_ROWS):
            plays = read_plays_between(first, min(first + CHUNK_ROWS - 1, last))
            rows, is_known = trained.items.rows(plays.track)
            is_unlearned = ~is_known | (trained.popularity[rows] == 0)
            found.append(plays.where(is_unlearned & trained.users.rows(plays.user)[1]))
        self._new_plays = replace(known, last=max(known.last, last), plays=Plays.concatenate([known.plays, *found]))
        if any(map(len, found)):
            self._needs_extension = True

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
        except ForeignVersion as error:
            metrics.model_load_failures.inc()
            raise_alarm("foreign_model", pointer.version, str(error))
            return LoadedModel(catalogue_bundle([]), "foreign_model")
        except LOAD_ERRORS as error:
            return self._unavailable(pointer.version, error, before, [pointer.previous] if pointer.previous else [])

    def _open(self, versions: VersionStore, version: str, problem: str | None = None) -> LoadedModel:
        """Load a version, one of an older release with the artists, dates and recordings that tracks have now.

        Raises:
            ForeignVersion: it was trained on another database.
            Exception: one of LOAD_ERRORS.
        """
        self._installation = find_installation_id()
        manifest = versions.manifest(version)
        if was_trained_elsewhere(manifest, self._installation):
            raise ForeignVersion(f"version {version} was trained on another database; train a new one, or restore both")
        files = mapped_files(versions.folder(version))
        stamps = _stamps(files)
        with metrics.model_load_seconds.time():
            bundle = versions.load(version)
            if manifest["format_version"] < FIRST_VERSION_WITH_FEATURES:  # without them, slates would have no caps
                bundle = replace(bundle, features=load_track_features(bundle.items.ids))
            loaded = LoadedModel(bundle, problem, files, stamps, manifest.get("last_interaction"))
        metrics.model_loads.inc()
        logger.info("model version=%s in service, problem=%s", version, problem)
        return loaded

    def _unavailable(self, what: str, error: Exception, before: LoadedModel | None, others: list[str]) -> LoadedModel:
        """Keep the served version if its files are intact; else load the previous one; else serve without a model."""
        metrics.model_load_failures.inc()
        raise_alarm("model_unavailable", what, f"{type(error).__name__}: {error}")
        if before and before.bundle.version and _still_mapped(before):
            return replace(before, problem="model_unavailable", stamps=_stamps(before.files))
        for version in others:
            try:
                return self._open(self._versions(), version, "model_unavailable")
            except (*LOAD_ERRORS, ForeignVersion):
                logger.exception("model version=%s could not be loaded either", version)
        return LoadedModel(catalogue_bundle([]), "model_unavailable")

    def _bring_up_to_date(self) -> None:
        if time.monotonic() > self._trending_until:
            self._refresh_trending()  # first, because versions and the catalogue are extended by what is trending
        if self._catalogue is None or time.monotonic() > self._catalogue_until:
            self.refresh_popularity()
        self.check_pointer()
        self._read_new_plays()
        if self._needs_extension:
            self._refresh_extension()

    def _start(self) -> None:
        with self._lock:
            if self._pid == os.getpid():
                return
            self._bring_up_to_date()
            if self._loaded:  # reported only here: a process that loads and then forks serves nobody itself
                metrics.set_served_version(self._loaded.bundle.version)
            self._pid = os.getpid()
            if settings.MUSICREC["MODEL_POLL_SECONDS"] > 0:
                threading.Thread(target=self._watch, name="model-watch", daemon=True).start()

    def _watch(self) -> None:
        for _ in wait_for_reload(settings.MUSICREC["MODEL_POLL_SECONDS"]):
            try:
                changed = self.check_pointer()
                if expired := time.monotonic() > self._catalogue_until:
                    self.refresh_popularity()
                    self._read_new_plays()
                if outdated := self._needs_extension and time.monotonic() >= self._extension_due:
                    self._refresh_extension()
                if is_due := time.monotonic() > self._trending_until:
                    self._refresh_trending()  # last, because it may take long; the next check shows it
                if changed or is_due or expired or outdated:
                    connection.close()  # nothing else closes the connection of this thread
            except Error:  # including InterfaceError, of a connection whose loss another call has hidden
                logger.warning("the catalogue could not be refreshed", exc_info=True)
                connection.close()
            except Exception:
                logger.exception("checking for a new model version failed; the next check follows")

    def _after_fork(self) -> None:
        """Keep the mapped model in a child process; replace the locks, which other threads may have held."""
        self._lock, self._popularity_lock, self._pid = threading.RLock(), threading.Lock(), None


def _at_start(work: Callable[[], None]) -> None:
    try:
        work()
    except Error:
        logger.warning("the database did not answer at start", exc_info=True)
    finally:
        connection.close()


def _digest(bundle: ModelBundle) -> int:
    live = bundle.live.trending_rows.tobytes() + bundle.features.fingerprint().encode()
    return zlib.crc32(bundle.popularity.tobytes(), zlib.crc32(bundle.items.ids.tobytes(), zlib.crc32(live)))


def _with_trending(bundle: ModelBundle, trending: list[tuple[int, float]]) -> ModelBundle:
    if not trending:
        return bundle
    track_ids, scores = zip(*trending, strict=True)
    return replace(bundle, live=LiveLists.from_ids(bundle.items, track_ids, scores))


def _stamps(files: tuple[Path, ...]) -> tuple[FileStamp, ...]:
    stamps: list[FileStamp] = []
    for file in files:
        try:
            status = os.stat(file)
        except OSError:
            stamps.append(None)
        else:
            stamps.append((status.st_ino, status.st_size, status.st_mtime_ns))
    return tuple(stamps)


def _still_mapped(loaded: LoadedModel) -> bool:
    """Return whether the mapping is safe to read.

    A file that was removed or replaced stays mapped as it was. One that was changed in place may have become shorter
    than the mapping, and reading beyond its end kills the process.
    """
    return all(
        now is None or then is None or now[0] != then[0] or now == then
        for now, then in zip(_stamps(loaded.files), loaded.stamps, strict=True)
    )


model_cache = ModelCache()
