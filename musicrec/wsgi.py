import os

from django.core.wsgi import get_wsgi_application

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "musicrec.settings")
application = get_wsgi_application()

from recommendations.model_cache import cache  # noqa: E402  (needs the apps)

cache.preload()
