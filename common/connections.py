"""Database connections of long jobs: give them back while they are not needed, and replace broken ones."""

import logging
import time
from collections.abc import Callable

from django.db import InterfaceError, OperationalError, connections

logger = logging.getLogger(__name__)
RETRY_DELAYS = (0.0, 1.0, 4.0, 15.0, 40.0)  # seconds; a server that restarts is away for less than their sum


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
