"""The task that makes mixes. `recommendations.tasks` imports it, which is where Celery looks."""

from celery import shared_task

from recommendations.mixes.precompute import MixesProgress, make_mixes_of_active

MINUTE = 60


@shared_task(name="recommendations.make_mixes", time_limit=10 * MINUTE)  # type: ignore[untyped-decorator]
def make_mixes(after: int = 0, done: int = 0, made: int = 0) -> None:
    """Make one batch, and queue the next one as a task of its own, so that nothing else waits for long."""
    if following := make_mixes_of_active(MixesProgress(after, done, made)):
        make_mixes.delay(*following)
