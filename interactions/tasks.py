from celery import shared_task

from interactions.imports.jobs import run_pending_imports

HOUR_S = 3600


@shared_task(name="interactions.import_histories", time_limit=6 * HOUR_S)  # type: ignore[untyped-decorator]
def import_histories() -> str:
    """Run the pending imports of listening histories."""
    return run_pending_imports()
