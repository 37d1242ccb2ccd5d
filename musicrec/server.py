"""The web server: `python -m musicrec.server`, with the options and variables of Granian.

Everything is imported, and the version in service loaded, before Granian forks the processes that answer: they have it
in common, and are there at once. Where a platform does not fork, each imports and loads for itself.
"""

import gc
import importlib
import sys
from typing import Any

OPTIONS = ("--interface", "wsgi", "--factory", "--respawn-failed-workers", "musicrec.server:application")


def application() -> Any:
    """Called in each process that answers, before it accepts; it may have been forked from one that is weeks old."""
    from musicrec.wsgi import application  # first: the others need the apps
    from recommendations.serving.model_cache import model_cache

    gc.enable()
    model_cache.start()
    return application


def main() -> None:
    from granian.cli import cli

    # A child copies each page that it writes to: where it collects garbage, those of all objects that are not frozen;
    # where it makes objects, those with room left by what was collected here. So all stays, and is frozen.
    gc.disable()
    importlib.import_module("musicrec.wsgi")
    gc.freeze()
    cli([*OPTIONS, *sys.argv[1:]], prog_name="musicrec.server", auto_envvar_prefix="GRANIAN")


if __name__ == "__main__":
    main()
