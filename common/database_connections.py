"""Closing the database connections of threads that have ended."""

import threading
import weakref
from collections import deque

from django.db import connections
from django.db.backends.base.base import BaseDatabaseWrapper

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
