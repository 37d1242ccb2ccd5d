import os

# Before NumPy is there: the cores belong to the requests, not to one request's product.
os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")

from django.core.wsgi import get_wsgi_application

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "musicrec.settings")
application = get_wsgi_application()

# These need the apps, which are there only now.
import musicrec.urls  # noqa: E402, F401  # and all views, or the first request would wait for them
from access.checks import raise_for_invalid_settings as refuse_bad_access  # noqa: E402
from recommendations.checks import require_valid_settings  # noqa: E402
from recommendations.serving.model_cache import model_cache  # noqa: E402

refuse_bad_access()
require_valid_settings()
model_cache.preload()
