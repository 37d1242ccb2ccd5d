"""Slates are kept after the answer: by a thread, in batches, and rather not at all than at the cost of an answer.

A process holds at most `MUSICREC_SLATE_BUFFER`; what does not fit, or cannot be written, is dropped and counted.
"""

import atexit
import logging
import os
import threading
from collections import deque
from collections.abc import Sequence
from datetime import datetime
from typing import NamedTuple
from uuid import UUID

from django.conf import settings
from django.db import Error, IntegrityError, close_old_connections, connection, transaction

from access.selectors import consent_by_user_id
from experiments import metrics
from experiments.models import Slate

logger = logging.getLogger(__name__)
EVERY_SECONDS = 1.0
BATCH = 500
_TRIES = 3  # a listener may be erased between the look and the commit


class SlateRecord(NamedTuple):
    """One answer. user_id: whose it is, None for an answer that is nobody's · track_ids: in order."""

    recommendation_id: UUID
    user_id: int | None
    strategy: str
    model_version: str
    placement: str
    track_ids: list[int]
    shown_at: datetime


class SlateLog:
    """The thread starts with the first slate of each process: started before a fork, it would be missing in the
    child."""

    def __init__(self) -> None:
        self._pid: int | None = None
        self._after_fork()
        os.register_at_fork(after_in_child=self._after_fork)
        atexit.register(self._at_exit)

    def add(self, shown: SlateRecord) -> None:
        """Never waits and never raises."""
        if len(self._waiting) >= settings.MUSICREC["SLATE_BUFFER"]:
            if settings.MUSICREC["SLATE_BUFFER"]:  # 0: nothing is to be kept
                metrics.slates_dropped.inc()
            return
        self._waiting.append(shown)
        if self._pid != os.getpid() and settings.MUSICREC["MODEL_POLL_SECONDS"]:
            self._start()
        if len(self._waiting) >= BATCH:
            self._full.set()

    def flush(self) -> None:
        """Write what is waiting; what cannot be written is dropped."""
        with self._writing:
            while batch := self._taken():
                try:
                    metrics.slates_logged.inc(_write(batch))
                except Exception as error:  # whatever it is, the thread goes on
                    metrics.slates_dropped.inc(len(batch))
                    logger.warning("%s slates were dropped: %s", len(batch), error)

    def forget(self) -> None:
        self._waiting.clear()

    def _taken(self) -> list[SlateRecord]:
        return [self._waiting.popleft() for _ in range(min(BATCH, len(self._waiting)))]

    def _start(self) -> None:
        with self._starting:
            if self._pid == os.getpid():
                return
            try:
                threading.Thread(target=self._run, name="slates", daemon=True).start()
                self._pid = os.getpid()
            except RuntimeError as error:  # no threads left, or the process is ending; the next slate tries again
                logger.warning("slates wait for a thread: %s", error)

    def _run(self) -> None:
        while True:
            self._full.wait(EVERY_SECONDS)
            self._full.clear()
            if self._waiting:
                self._flush_by_thread()

    def _flush_by_thread(self) -> None:
        try:
            close_old_connections()
            self.flush()
            if connection.vendor == "sqlite":
                connection.close()
        except Error as error:  # closing may fail too; without its thread a process would keep nothing more
            logger.warning("slates wait for the database: %s", error)

    def _at_exit(self) -> None:
        """Only where the thread would have: tests leave slates behind, and their database is gone by then."""
        if self._pid == os.getpid():
            self.flush()

    def _after_fork(self) -> None:
        self._pid = None
        self._waiting: deque[SlateRecord] = deque()
        self._full, self._starting, self._writing = threading.Event(), threading.Lock(), threading.Lock()


def _write(batch: Sequence[SlateRecord]) -> int:
    """How many were kept: those of listeners who are there and agree, for a slate brings nobody back."""
    for tries_left in reversed(range(_TRIES)):
        try:
            with transaction.atomic():
                agree = consent_by_user_id({s.user_id for s in batch if s.user_id is not None})
                rows = [_row(s) for s in batch if s.user_id is None or agree.get(s.user_id)]
                Slate.objects.bulk_create(rows, ignore_conflicts=True)
            return len(rows)
        except IntegrityError:
            if not tries_left:
                raise
    raise AssertionError("unreachable")


def _row(shown: SlateRecord) -> Slate:
    return Slate(id=shown.recommendation_id, **{n: v for n, v in shown._asdict().items() if n != "recommendation_id"})


slate_log = SlateLog()
