from celery import shared_task

from interactions.imports.jobs import run_pending_imports

HOUR = 3600


@shared_task(name="interactions.import_histories", time_limit=6 * HOUR)  # type: ignore[untyped-decorator]
def import_histories() -> str:
    return run_pending_imports()
