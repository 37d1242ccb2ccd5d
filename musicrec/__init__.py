"""The Django project: it switches things on, and nothing imports it."""

from musicrec.celery import app as celery_app

__all__ = ["celery_app"]
