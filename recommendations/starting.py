"""Start a training run in the background: by Celery, or in a process of its own where there is no broker."""

import subprocess
import sys

from django.conf import settings

from recommendations.tasks import train_model


def start_training(trigger: str) -> None:
    if settings.CELERY_BROKER_URL:
        train_model.delay(trigger)
        return
    log = settings.VAR_DIR / "training.log"
    with open(log, "ab") as out:
        subprocess.Popen(
            [sys.executable, "manage.py", "train_model", "--trigger", trigger],
            cwd=settings.BASE_DIR,
            stdout=out,
            stderr=out,
            start_new_session=True,  # goes on when the web process that started it ends
        )
