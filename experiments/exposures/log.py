"""The slate log: stores shown slates after the response, in batches, by a background thread.

A process holds at most MUSICREC_SLATE_BUFFER slates. Slates that do not fit or cannot be written are dropped and
counted, because logging must never delay or fail a response.
"""

import atexit
import logging
import os
import threading
from collections import deque
from collections.abc import Sequence
from datetime import datetime
from typing import Any, NamedTuple
from uuid import UUID

from django.conf import settings
from django.db import Error, IntegrityError, close_old_connections, connection, transaction

from access.selectors import consent_by_user_id
from experiments import metrics
from experiments.models import Slate

logger = logging.getLogger(__name__)
FLUSH_SECONDS = 1.0
BATCH = 500
MAX_ATTEMPTS = 3


class SlateRecord(NamedTuple):
    """A slate that was shown.

    Attributes:
        user_id: None for a listener that the service does not know, or who does not consent.
        policy: the label of the policy that built it, such as "personal@3".
        request: what is needed to continue the slate, as JSON.
        previous: the slate that this one continues.
        is_counted: whether engagement counts it.
    """

    recommendation_id: UUID
    user_id: int | None
    strategy: str
    model_version: str
    placement: str
    track_ids: list[int]
    shown_at: datetime
    policy: str = ""
    request: dict[str, Any] | None = None
    previous: UUID | None = None
    is_counted: bool = True


class SlateLog:
    """A bounded buffer of slates and the thread that empties it.

    The thread starts with the first slate of each process. A thread started before a fork would not exist in the child.
    """

    def __init__(self) -> None:
        self._pid: int | None = None
        self._reset_after_fork()
        os.register_at_fork(after_in_child=self._reset_after_fork)
        atexit.register(self._flush_at_exit)

    def add(self, record: SlateRecord) -> bool:
        """Queue a slate, and return False if it is dropped because the buffer is full. Never waits and never raises."""
        if not settings.MUSICREC["SLATE_BUFFER"]:  # the log is turned off
            return True
        if len(self._buffer) >= settings.MUSICREC["SLATE_BUFFER"]:
            metrics.slates_dropped.inc()
            return False
        self._buffer.append(record)
        if self._pid != os.getpid() and settings.MUSICREC["MODEL_POLL_SECONDS"]:
            self._start_thread()
        if len(self._buffer) >= BATCH:
            self._batch_is_full.set()
        return True

    def flush(self) -> None:
        """Write all queued slates; drop those that cannot be written."""
        with self._write_lock:
            while batch := [self._buffer.popleft() for _ in range(min(BATCH, len(self._buffer)))]:
                try:
                    metrics.slates_logged.inc(_write(batch))
                except Exception as error:  # whatever it is, it must not end the thread
                    metrics.slates_dropped.inc(len(batch))
                    logger.warning("%s slates were dropped: %s", len(batch), error)

    def clear(self) -> None:
        """Forget all queued slates."""
        self._buffer.clear()

    def _start_thread(self) -> None:
        with self._start_lock:
            if self._pid == os.getpid():
                return
            try:
                threading.Thread(target=self._run, name="slates", daemon=True).start()
                self._pid = os.getpid()
            except RuntimeError as error:  # out of threads, or the process is ending; the next slate tries again
                logger.warning("slates are not written yet, because no thread could be started: %s", error)

    def _run(self) -> None:
        while True:
            self._batch_is_full.wait(FLUSH_SECONDS)
            self._batch_is_full.clear()
            if not self._buffer:
                continue
            try:
                close_old_connections()
                self.flush()
                if connection.vendor == "sqlite":
                    connection.close()
            except Error as error:  # closing a connection may fail too, and must not end the thread
                logger.warning("slates are not written yet, because the database is unavailable: %s", error)

    def _flush_at_exit(self) -> None:
        # Only in processes with the thread: tests leave slates queued, and at exit their database is gone.
        if self._pid == os.getpid():
            self.flush()

    def _reset_after_fork(self) -> None:
        self._pid = None
        self._buffer: deque[SlateRecord] = deque()
        self._batch_is_full = threading.Event()
        self._start_lock, self._write_lock = threading.Lock(), threading.Lock()


def _write(batch: Sequence[SlateRecord]) -> int:
    """Write the slates of listeners who exist, and return their number.

    The slate of a listener whose consent has just been withdrawn is written without the listener.
    """
    for attempts_left in reversed(range(MAX_ATTEMPTS)):
        try:
            with transaction.atomic():
                consent = consent_by_user_id({record.user_id for record in batch if record.user_id is not None})
                rows = [
                    Slate(
                        id=record.recommendation_id,
                        user_id=record.user_id if consent.get(record.user_id or 0) else None,
                        strategy=record.strategy,
                        model_version=record.model_version,
                        policy=record.policy,
                        placement=record.placement,
                        track_ids=record.track_ids,
                        shown_at=record.shown_at,
                        request=record.request,
                        previous=record.previous,
                        is_counted=record.is_counted and (record.user_id is None or consent[record.user_id]),
                    )
                    for record in batch
                    if record.user_id is None or record.user_id in consent
                ]
                Slate.objects.bulk_create(rows, ignore_conflicts=True)
            return len(rows)
        except IntegrityError:  # a listener was erased between reading the consent and the commit
            if not attempts_left:
                raise
    raise AssertionError("unreachable")


slate_log = SlateLog()
