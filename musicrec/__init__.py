"""The Django project: settings, URLs, and the entry points of the web server, the worker and the demo."""

from musicrec.celery import app as celery_app

__all__ = ["celery_app"]
