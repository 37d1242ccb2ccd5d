"""Processes that answer requests do not import training libraries."""

import subprocess
import sys

from musicrec.processes import ROOT

TRAINING_LIBRARIES = ("numba", "llvmlite", "optuna", "sqlalchemy", "sklearn")


def test_serving_does_not_import_training_libraries() -> None:
    """Importing numba and Optuna takes seconds and some 100 MB in every process."""
    code = (
        "import os, sys, django\n"
        "os.environ['DJANGO_SETTINGS_MODULE'] = 'musicrec.settings'\n"
        "django.setup()\n"
        "from recommendations.serving.model_cache import model_cache\n"
        "model_cache.preload = lambda: None  # there are no tables here\n"
        "import musicrec.wsgi, musicrec.urls, recommendations.tasks\n"
        f"print(sorted(m for m in sys.modules if m.split('.')[0] in {TRAINING_LIBRARIES!r}))"
    )
    result = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True)
    assert result.stdout.strip().splitlines()[-1:] == ["[]"], result.stdout + result.stderr
