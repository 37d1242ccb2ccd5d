"""Close the database connections of threads that have ended and of long jobs, and replace broken ones."""

import logging
import threading
import time
import weakref
from collections import deque
from collections.abc import Callable

from django.db import InterfaceError, OperationalError, connections
from django.db.backends.base.base import BaseDatabaseWrapper

logger = logging.getLogger(__name__)
RETRY_DELAYS = (0.0, 1.0, 4.0, 15.0, 40.0)  # seconds; a server that restarts is away for less than their sum
_this_thread = threading.local()
_connections_of_ended_threads: deque[BaseDatabaseWrapper] = deque()


class _EndOfThread:
    """An object that only one thread refers to, so that it is deleted when the thread ends."""


def close_connections_of_ended_threads() -> None:
    """Close what other threads have left, and have those of the calling thread closed after its end.

    Django keeps one connection per thread, in objects that refer to each other. The connection of a thread that has
    ended would stay open until the garbage collector reaches its oldest generation, which may take hours. A server that
    calls this in its threads at each request has at most one connection for each of them.
    """
    if not hasattr(_this_thread, "end"):
        _this_thread.end = _EndOfThread()
        # They are not closed at once: while Python deletes a foreign thread's state, SQLite's clean-up would delete it
        # a second time and crash the process.
        finalizer = weakref.finalize(_this_thread.end, _connections_of_ended_threads.extend, connections.all())
        finalizer.atexit = False
    while _connections_of_ended_threads:
        connection = _connections_of_ended_threads.popleft()
        connection.inc_thread_sharing()  # allows this thread to close it
        connection.close()


def release_connections() -> None:
    """Close this thread's database connections; the next query opens a new one.

    A connection that idles for the minutes of a computation may be ended by the server, a firewall or a restart, and
    the query after it fails. Inside of a transaction nothing is closed.
    """
    for connection in connections.all(initialized_only=True):
        if not connection.in_atomic_block:
            connection.close()


def write_reliably(write: Callable[[], object]) -> bool:
    """Call `write` through a new connection, and again through another one if that is lost, for about a minute.

    Args:
        write: may be called several times, so that it must not add anything twice.

    Returns:
        Whether it succeeded; if not, the error was logged.
    """
    for delay in RETRY_DELAYS:
        if delay:
            time.sleep(delay)
        release_connections()
        try:
            write()
        except (InterfaceError, OperationalError) as error:
            logger.warning("the database did not answer: %s", error)
        else:
            return True
    logger.error("a result could not be stored, because the database does not answer")
    return False
