"""The web server, Granian: `python -m musicrec.server`, with Granian's options and environment variables.

The application is imported and the version in service is loaded before Granian forks its workers, so that these share
the memory and are ready at once. On a platform without fork, each worker imports and loads for itself.
"""

import gc
import importlib
import sys
from typing import Any

OPTIONS = ("--interface", "wsgi", "--factory", "--respawn-failed-workers", "musicrec.server:application")


def application() -> Any:
    """Return the WSGI application; called in each worker before it accepts connections.

    The parent process may have loaded its version weeks ago, so that the worker starts to follow the pointer here.
    """
    # Imported here and in main(), because main() must disable the garbage collector before the application is imported.
    from common.database_connections import close_connections_of_ended_threads
    from musicrec.wsgi import application as django_application  # before the next import, which needs the app registry
    from recommendations.serving.model_cache import model_cache
    from recommendations.watch_thread import start_watching
    from webhooks.send_thread import start_sending_thread

    def answer(environ: Any, start_response: Any) -> Any:
        close_connections_of_ended_threads()  # Granian ends threads that have been idle for half a minute
        return django_application(environ, start_response)

    gc.enable()
    model_cache.start()
    start_watching()
    start_sending_thread()
    return answer


def main() -> None:
    from granian.cli import cli  # only the parent process needs it

    # A worker copies every memory page that it writes to. A garbage collection writes to all objects that are not
    # frozen, and new objects are written to pages with room that an earlier collection has left. So nothing is
    # collected before the fork, and everything is frozen.
    gc.disable()
    importlib.import_module("musicrec.wsgi")
    gc.freeze()
    cli([*OPTIONS, *sys.argv[1:]], prog_name="musicrec.server", auto_envvar_prefix="GRANIAN")


if __name__ == "__main__":
    main()
