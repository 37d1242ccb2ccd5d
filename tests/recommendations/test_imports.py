"""Processes that answer requests do not import training libraries."""

import subprocess
import sys

from musicrec.processes import ROOT

HEAVY = ("numba", "llvmlite", "optuna", "sqlalchemy", "sklearn")


def test_serving_does_not_load_what_only_training_needs() -> None:
    """Importing numba and Optuna costs each process some 100 MB and seconds."""
    code = (
        "import os, sys, django\n"
        "os.environ['DJANGO_SETTINGS_MODULE'] = 'musicrec.settings'\n"
        "django.setup()\n"
        "from recommendations.serving.model_cache import model_cache\n"
        "model_cache.preload = lambda: None  # there are no tables here\n"
        "import musicrec.wsgi, musicrec.urls, recommendations.tasks\n"
        f"print(sorted(m for m in sys.modules if m.split('.')[0] in {HEAVY!r}))"
    )
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True)
    assert done.stdout.strip().splitlines()[-1:] == ["[]"], done.stdout + done.stderr
