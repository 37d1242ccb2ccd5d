import os

# Set before NumPy is imported. Requests run in parallel, so the matrix product of one must not use all cores.
os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")

from django.core.wsgi import get_wsgi_application

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "musicrec.settings")
application = get_wsgi_application()

# These imports need the app registry, which get_wsgi_application() has filled.
import access.checks  # noqa: E402
import musicrec.urls  # noqa: E402, F401  # imports all views, so that the first request does not wait for that
import recommendations.checks  # noqa: E402
from recommendations.serving.model_cache import model_cache  # noqa: E402

access.checks.raise_for_invalid_settings()
recommendations.checks.raise_for_invalid_settings()
model_cache.preload()
