"""Every setting, with a default that runs on a laptop; docs/reference/settings.md explains each."""

from datetime import timedelta
from pathlib import Path

from musicrec.environment import Environment

env = Environment()
BASE_DIR = Path(__file__).resolve().parent.parent
VAR_DIR = env.folder("MUSICREC_VAR_DIR", BASE_DIR / "var")
VAR_DIR.mkdir(parents=True, exist_ok=True)

# --- Security ---
DEBUG = env.bool("DEBUG", False)
if not (SECRET_KEY := env.str("SECRET_KEY", "")):
    from musicrec.secret import secret_key  # only needed without a SECRET_KEY in the environment

    SECRET_KEY = secret_key(VAR_DIR / "secret_key")
ALLOWED_HOSTS = env.list("ALLOWED_HOSTS", default=["localhost", "127.0.0.1", "[::1]"])
CSRF_TRUSTED_ORIGINS = env.list("CSRF_TRUSTED_ORIGINS", default=[])
HTTPS = env.bool("MUSICREC_HTTPS", False)
SECURE_SSL_REDIRECT = SESSION_COOKIE_SECURE = CSRF_COOKIE_SECURE = HTTPS
SECURE_HSTS_SECONDS = 31_536_000 if HTTPS else 0
SECURE_HSTS_INCLUDE_SUBDOMAINS = SECURE_HSTS_PRELOAD = HTTPS
SECURE_PROXY_SSL_HEADER = ("HTTP_X_FORWARDED_PROTO", "https") if HTTPS else None
SECURE_REDIRECT_EXEMPT = [r"^health/"]  # probes speak plain HTTP inside the network
CORS_ALLOWED_ORIGINS = env.list("MUSICREC_CORS_ORIGINS", default=[])
CORS_URLS_REGEX = r"^/(?!admin/)"
CORS_ALLOW_HEADERS = ["authorization", "content-type", "content-encoding", "idempotency-key", "if-none-match"]
CORS_ALLOW_HEADERS += ["x-request-id"]
CORS_EXPOSE_HEADERS = ["ETag", "Location", "Retry-After", "X-Request-ID"]

# --- Apps and middleware ---
INSTALLED_APPS = [
    "unfold",
    "django.contrib.admin",
    "django.contrib.auth",
    "django.contrib.contenttypes",
    "django.contrib.sessions",
    "django.contrib.messages",
    "django.contrib.staticfiles",
    "django_celery_beat",
    "corsheaders",
    "rest_framework",
    "drf_spectacular",
    "drf_spectacular_sidecar",
    "webhooks",
    "access",
    "tracks",
    "interactions",
    "experiments",
    "recommendations",
    "privacy",
    "web",
]
MIDDLEWARE = [
    "common.http.request_metrics.RequestMetricsMiddleware",
    "common.http.request_id.RequestIdMiddleware",
    "common.http.security_headers.SecurityHeadersMiddleware",
    "django.middleware.security.SecurityMiddleware",
    "django.middleware.clickjacking.XFrameOptionsMiddleware",
    "corsheaders.middleware.CorsMiddleware",
    "common.http.body_limit.BodyLimitMiddleware",
    "django.middleware.http.ConditionalGetMiddleware",
    "whitenoise.middleware.WhiteNoiseMiddleware",
    "django.contrib.sessions.middleware.SessionMiddleware",
    "django.middleware.common.CommonMiddleware",
    "django.middleware.csrf.CsrfViewMiddleware",
    "django.contrib.auth.middleware.AuthenticationMiddleware",
    "django.contrib.messages.middleware.MessageMiddleware",
]
ROOT_URLCONF = "musicrec.urls"
WSGI_APPLICATION = "musicrec.wsgi.application"
AUTH_USER_MODEL = "access.User"
LOGIN_REDIRECT_URL = "admin:index"  # only the admin has a sign-in page
SILENCED_SYSTEM_CHECKS = ["models.W040"]  # SQLite has no covering indexes
DEFAULT_AUTO_FIELD = "django.db.models.BigAutoField"
LANGUAGE_CODE, TIME_ZONE, USE_I18N, USE_TZ = "en", "UTC", False, True
FORMAT_MODULE_PATH = "musicrec.formats"  # one format of dates and times in all of the admin
TEMPLATES = [
    {
        "BACKEND": "django.template.backends.django.DjangoTemplates",
        "DIRS": [BASE_DIR / "common" / "templates"],
        "APP_DIRS": True,
        "OPTIONS": {
            "context_processors": [
                "django.template.context_processors.request",
                "django.contrib.auth.context_processors.auth",
                "django.contrib.messages.context_processors.messages",
            ]
        },
    }
]
AUTH_PASSWORD_VALIDATORS = [
    {"NAME": "django.contrib.auth.password_validation.UserAttributeSimilarityValidator"},
    {"NAME": "django.contrib.auth.password_validation.MinimumLengthValidator"},
    {"NAME": "django.contrib.auth.password_validation.CommonPasswordValidator"},
    {"NAME": "access.password_validation.SignOutOnPasswordChange"},
]
STATIC_URL = "/static/"
(STATIC_ROOT := VAR_DIR / "static").mkdir(exist_ok=True)
STATICFILES_DIRS = [BASE_DIR / "common" / "static"]  # it is no Django app, so the finders do not look there
WHITENOISE_USE_FINDERS = True  # serve from the apps, without collectstatic
WHITENOISE_MAX_AGE = 60  # names have no hash, and a page must not mix files of two releases for long

# --- Database and cache ---
DATABASES = {"default": env.db_url("DATABASE_URL", f"sqlite:///{VAR_DIR / 'musicrec.sqlite3'}")}
DATABASES["default"] |= {"CONN_MAX_AGE": 600, "CONN_HEALTH_CHECKS": True}
if DATABASES["default"]["ENGINE"].endswith("sqlite3"):
    DATABASES["default"]["TEST"] = {"NAME": VAR_DIR / "test.sqlite3"}  # a file, as in production
    # With Django's defaults a fifth of concurrent writes fail with "database is locked"; with these, none.
    DATABASES["default"]["OPTIONS"] = {
        "transaction_mode": "IMMEDIATE",
        "timeout": 20,
        "init_command": "PRAGMA journal_mode=WAL; PRAGMA synchronous=NORMAL;",
    }
REDIS_URL = env.url("REDIS_URL", "", schemes=["redis", "rediss", "unix"])
CACHE_FORMAT = 2  # part of every key; increase it with any change of what is stored under a key, or how
CACHES = {
    "default": {"BACKEND": "common.redis_client.FailSoftRedisCache", "LOCATION": REDIS_URL, "VERSION": CACHE_FORMAT}
    if REDIS_URL
    else {"BACKEND": "django.core.cache.backends.locmem.LocMemCache", "OPTIONS": {"MAX_ENTRIES": 50_000}}
}

# --- The recommender ---
MUSICREC = {
    "MODEL_DIR": env.folder("MUSICREC_MODEL_DIR", VAR_DIR / "models"),
    "MODEL_KEEP": env.int("MUSICREC_MODEL_KEEP", 5),
    "MODEL_POLL_SECONDS": env.float("MUSICREC_MODEL_POLL_SECONDS", 2.0),
    "WATCH_SECONDS": env.float("MUSICREC_WATCH_SECONDS", 60.0),
    "FAMILY": env.str("MUSICREC_FAMILY", "auto"),
    "FACTORS": env.int("MUSICREC_FACTORS", 128),
    "ITERATIONS": env.int("MUSICREC_ITERATIONS", 12),
    "REGULARIZATION": env.float("MUSICREC_REGULARIZATION", 0.0),
    "CONFIDENCE_BASE": env.float("MUSICREC_CONFIDENCE_BASE", 1.0),
    "CONFIDENCE_BONUS": env.float("MUSICREC_CONFIDENCE_BONUS", 3.0),
    "CONFIDENCE_LIKED": env.float("MUSICREC_CONFIDENCE_LIKED", 3.0),
    "CONFIDENCE_ADDED": env.float("MUSICREC_CONFIDENCE_ADDED", 2.0),
    "CONFIDENCE_SHARED": env.float("MUSICREC_CONFIDENCE_SHARED", 2.0),
    "CONFIDENCE_SKIPPED": env.float("MUSICREC_CONFIDENCE_SKIPPED", 1.0),
    "CONFIDENCE_DISLIKED": env.float("MUSICREC_CONFIDENCE_DISLIKED", 4.0),
    "CONFIDENCE_TRANSFORM": env.str("MUSICREC_CONFIDENCE_TRANSFORM", "none"),
    "CONFIDENCE_SCALE": env.float("MUSICREC_CONFIDENCE_SCALE", 1.0),
    "CONFIDENCE_HALF_LIFE": env.float("MUSICREC_CONFIDENCE_HALF_LIFE", 0.0),
    "USE_TUNED": env.bool("MUSICREC_USE_TUNED", True),
    "TUNING_SECONDS": env.int("MUSICREC_TUNING_SECONDS", 1800),
    "TUNING_PAIRS": env.int("MUSICREC_TUNING_PAIRS", 2_000_000),
    "TRAINING_SEED": env.int("MUSICREC_TRAINING_SEED", 2009),
    "TRAINING_THREADS": env.int("MUSICREC_TRAINING_THREADS", 0),
    "SPLIT": env.str("MUSICREC_SPLIT", "time"),
    "HOLDOUT": env.float("MUSICREC_HOLDOUT", 0.2),
    "QUESTION": env.str("MUSICREC_QUESTION", "new"),
    "GATE_MARGIN": env.float("MUSICREC_GATE_MARGIN", 0.1),
    "COLD_BELOW": env.int("MUSICREC_COLD_BELOW", 5),
    "RESULTS_SECONDS": env.int("MUSICREC_RESULTS_SECONDS", 3600),
    "INDEX": env.str("MUSICREC_INDEX", "auto"),
    "INDEX_ABOVE": env.int("MUSICREC_INDEX_ABOVE", 200_000),
    "AHEAD_LISTENERS": env.int("MUSICREC_AHEAD_LISTENERS", 100_000),
    "SLATE_BUFFER": env.int("MUSICREC_SLATE_BUFFER", 10_000),
    "SLATE_DAYS": env.int("MUSICREC_SLATE_DAYS", 90),
    "RADIO_DAYS": env.int("MUSICREC_RADIO_DAYS", 30),
    "DATASETS_URL": env.url("MUSICREC_DATASETS_URL", "https://files.grouplens.org/datasets/hetrec2011/"),
}

# --- Background work ---
CELERY_BROKER_URL = env.url("CELERY_BROKER_URL", REDIS_URL)
if CELERY_BROKER_URL.startswith(("redis", "sentinel")):
    CELERY_BROKER_TRANSPORT_OPTIONS = {
        # A broker that accepts connections and does not answer must not delay a publication for more than seconds.
        "socket_connect_timeout": 1.0,
        "socket_timeout": 3.0,
        "max_retries": 0,
        # A message that a worker has fetched and not begun is delivered again after this time. So it must be longer
        # than a study and a training run together, behind which the message may wait.
        "visibility_timeout": 24 * 3600,
    }
    CELERY_WORKER_DISABLE_PREFETCH = True  # fetch a message only when nothing else runs, so that none waits in a worker
CELERY_TASK_ROUTES = {f"recommendations.{task}": {"queue": "training"} for task in ("train_model", "tune_model")}
CELERY_TASK_IGNORE_RESULT = True
CELERY_TASK_ACKS_LATE = False  # a training run that killed its worker must not be redelivered
CELERY_WORKER_PREFETCH_MULTIPLIER = 1
CELERY_WORKER_HIJACK_ROOT_LOGGER = False
CELERY_TIMEZONE = "UTC"
CELERY_BEAT_SCHEDULER = "django_celery_beat.schedulers:DatabaseScheduler"
CELERY_BROKER_CONNECTION_RETRY_ON_STARTUP = True
MUSICREC |= {"WEBHOOK_DAYS": env.int("MUSICREC_WEBHOOK_DAYS", 30)}

# --- The API ---
REST_FRAMEWORK = {
    "DEFAULT_AUTHENTICATION_CLASSES": [
        "access.authentication.ServiceKeyAuthentication",
        "access.authentication.ListenerTokenAuthentication",
    ],
    "DEFAULT_PERMISSION_CLASSES": ["access.permissions.HasScope"],
    "DEFAULT_THROTTLE_CLASSES": ["access.throttles.PrincipalThrottle"],
    "DEFAULT_RENDERER_CLASSES": ["common.http.json.OrjsonRenderer"],
    "DEFAULT_PARSER_CLASSES": ["common.http.json.OrjsonParser"],
    "DEFAULT_SCHEMA_CLASS": "common.http.query_parameters.ApiSchema",
    "DEFAULT_CONTENT_NEGOTIATION_CLASS": "common.http.json.FixedRendererNegotiation",
    "EXCEPTION_HANDLER": "common.http.problems.exception_handler",
    "URL_FORMAT_OVERRIDE": None,
}
SIMPLE_JWT = {
    "ACCESS_TOKEN_LIFETIME": timedelta(minutes=env.int("MUSICREC_TOKEN_MINUTES", 60, at_most=1440)),
    "REFRESH_TOKEN_LIFETIME": timedelta(days=env.int("MUSICREC_REFRESH_DAYS", 30, at_most=366)),
    "AUTH_HEADER_TYPES": ("Bearer",),
}
MUSICREC |= {
    "IDP_ISSUER": env.str("MUSICREC_IDP_ISSUER", "").strip(),
    "IDP_AUDIENCE": env.list("MUSICREC_IDP_AUDIENCE", default=[]),
    "IDP_JWKS_URL": env.url("MUSICREC_IDP_JWKS_URL", "", schemes=["https", "http"]),
    "IDP_ALGORITHMS": env.list("MUSICREC_IDP_ALGORITHMS", default=["RS256", "ES256"]),
    "IDP_LEEWAY_SECONDS": env.int("MUSICREC_IDP_LEEWAY_SECONDS", 60),
    "IDP_CREATE_LISTENERS": env.bool("MUSICREC_IDP_CREATE_LISTENERS", True),
}
MUSICREC |= {
    "ANONYMOUS_LISTENERS": env.bool("MUSICREC_ANONYMOUS_LISTENERS", True),
    "PLAYER_NAMESPACE": env.str("MUSICREC_PLAYER_NAMESPACE", "navidrome"),
    "RATE_LISTENER": env.str("MUSICREC_RATE_LISTENER", "600/min"),
    "RATE_KEY": env.str("MUSICREC_RATE_KEY", "60000/min"),
    "RATE_SIGN_IN": env.str("MUSICREC_RATE_SIGN_IN", "10/min"),
    "PROXIES": env.int("MUSICREC_PROXIES", 1),
    "CREATE_LISTENERS": env.bool("MUSICREC_CREATE_LISTENERS", True),
    "IMPORT_MAX_BYTES": env.int("MUSICREC_IMPORT_MAX_BYTES", 268_435_456),
}
SPECTACULAR_SETTINGS = {
    "TITLE": "musicrec",
    "VERSION": "1",
    "DESCRIPTION": "Recommendations for each listener, and tracks similar to a track.",
    "TAGS": [
        {"name": "Recommendations", "description": "Slates of tracks, for a listener or similar to a track."},
        {"name": "Listeners", "description": "Accounts, settings, preferences, imports and data of listeners."},
        {"name": "Sign-in", "description": "Tokens for phones."},
        {"name": "Catalogue", "description": "Tracks, artists and albums."},
        {"name": "Events", "description": "What listeners do in the app."},
        {"name": "Scrobbling", "description": "For players and clients of ListenBrainz."},
        {"name": "Operations", "description": "Reports and training, for back ends and operators."},
    ],
    "OAS_VERSION": "3.1.0",
    "SERVE_INCLUDE_SCHEMA": False,
    "SERVE_PERMISSIONS": ["rest_framework.permissions.AllowAny"],
    "SERVE_AUTHENTICATION": [],
    "SWAGGER_UI_DIST": "SIDECAR",
    "SWAGGER_UI_FAVICON_HREF": "SIDECAR",
    "COMPONENT_SPLIT_REQUEST": True,
    "POSTPROCESSING_HOOKS": [
        "drf_spectacular.hooks.postprocess_schema_enums",
        "musicrec.schema.add_problem_responses",
        "musicrec.schema.merge_alternatives",
        "musicrec.schema.open_response_enums",
        "musicrec.schema.complete_document",
    ],
    "ENUM_NAME_OVERRIDES": {
        "SourceEnum": "recommendations.api.serializers.SOURCES",
        "TagKindEnum": "tracks.serializers.TAG_KINDS",
        "BlockKindEnum": "interactions.lists.serializers.BLOCK_KINDS",
        "ExclusionKindEnum": "interactions.taste.serializers.EXCLUSION_KINDS",
        "SliderKindEnum": "interactions.taste.serializers.SLIDER_KINDS",
        "ProposalKindEnum": "interactions.taste.proposals.PROPOSAL_KINDS",
        "PlayedKindEnum": "interactions.lists.serializers.PLAYED_KINDS",
        "StrategyEnum": "recommendations.api.serializers.STRATEGIES",
        "FallbackReasonEnum": "recommendations.api.serializers.FALLBACK_REASONS",
        "ReasonKindEnum": "recommendations.serving.explanations.REASON_KINDS",
        "GroupStrategyEnum": "recommendations.api.group_serializers.STRATEGIES",
        "MemberReasonEnum": "recommendations.api.group_serializers.MEMBER_REASONS",
    },
    "COMPONENT_SPLIT_PATCH": False,
}
UNFOLD = {"SITE_TITLE": "musicrec", "SITE_HEADER": "musicrec", "SITE_SYMBOL": "graphic_eq", "SHOW_HISTORY": True}
UNFOLD |= {"LOGIN": {"form": "access.forms.LimitedAuthenticationForm"}}
UNFOLD |= {"STYLES": [f"{STATIC_URL}common/admin_theme.css"]}

# --- Logging ---
LOG_LEVELS = ["DEBUG", "INFO", "WARNING", "ERROR", "CRITICAL"]
LOGGING = {
    "version": 1,
    "disable_existing_loggers": False,
    "filters": {"request_id": {"()": "common.http.request_id.RequestIdFilter"}},
    "formatters": {
        "line": {"format": "{asctime} {levelname} {name} pid={process} request={request_id} {message}", "style": "{"}
    },
    "handlers": {"console": {"class": "logging.StreamHandler", "formatter": "line", "filters": ["request_id"]}},
    "root": {"handlers": ["console"], "level": env.choice("LOG_LEVEL", "INFO", LOG_LEVELS)},
}
