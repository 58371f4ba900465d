"""Settings: one file, values from the environment; a wrong value refuses to start.

Without DATABASE_URL this is the embedded size: SQLite, Celery over files, and the secret key, all in EVENTSAPP_VAR.
"""

import os
from importlib.util import find_spec
from pathlib import Path

import environ
from csp.constants import NONE, SELF
from django.core.exceptions import ImproperlyConfigured
from kombu import Exchange, Queue

from eventsapp.config.embedded import kept_secret, private_folder

BASE_DIR = Path(__file__).resolve().parents[2]
env = environ.Env()

DEBUG = env.bool("DEBUG", default=False)
VAR = Path(env.str("EVENTSAPP_VAR", default=str(BASE_DIR / "var"))).resolve()
EMBEDDED = not env.str("DATABASE_URL", default="")

HOST = env.str("HOST", default="127.0.0.1")
PORT = env.int("PORT", default=8000)
BASE_URL = env.str("BASE_URL", default=f"http://{HOST}:{PORT}").rstrip("/")
# Readers of a mail reach no address that nobody chose.
EMAIL_TRACKING = env.bool("EMAIL_TRACKING", default="BASE_URL" in env)
# Whether each request comes through a proxy that adds the client's address to X-Forwarded-For.
TRUST_PROXY = env.bool("TRUST_PROXY", default=False)
ALLOWED_HOSTS = env.list("ALLOWED_HOSTS", default=["*"] if EMBEDDED else ["localhost", "127.0.0.1", "[::1]"])

SECRET_KEY = env.str("SECRET_KEY", default="")
if not SECRET_KEY:
    if not EMBEDDED and not DEBUG:
        raise ImproperlyConfigured(
            "SECRET_KEY is missing. Set it to a long random text, the same for the web and every worker: "
            "python -c 'import secrets; print(secrets.token_urlsafe(50))'"
        )
    SECRET_KEY = kept_secret(VAR / "secret_key")

INSTALLED_APPS = [
    "messaging",
    "segments",
    "eventsapp",
    "django.contrib.admin",
    "django.contrib.auth",
    "django.contrib.contenttypes",
    "django.contrib.sessions",
    "django.contrib.messages",
    "django.contrib.humanize",
    "django.forms",
    "whitenoise.runserver_nostatic",
    "django.contrib.staticfiles",
    "django_htmx",
    "django_filters",
    "rest_framework",
    "drf_spectacular",
    "csp",
    "axes",
]

MIDDLEWARE = [
    "eventsapp.middleware.RequestId",
    "eventsapp.middleware.StraightToApi",
    "django.middleware.security.SecurityMiddleware",
    "whitenoise.middleware.WhiteNoiseMiddleware",
    "csp.middleware.CSPMiddleware",
    "django.contrib.sessions.middleware.SessionMiddleware",
    "django.middleware.common.CommonMiddleware",
    "django.middleware.csrf.CsrfViewMiddleware",
    "django.contrib.auth.middleware.AuthenticationMiddleware",
    "django.contrib.messages.middleware.MessageMiddleware",
    "django.middleware.clickjacking.XFrameOptionsMiddleware",
    "django_htmx.middleware.HtmxMiddleware",
    "axes.middleware.AxesMiddleware",
]

ROOT_URLCONF = "eventsapp.config.urls"
WSGI_APPLICATION = "eventsapp.config.wsgi.application"

TEMPLATES = [
    {
        "BACKEND": "django.template.backends.django.DjangoTemplates",
        "DIRS": [BASE_DIR / "templates"],
        "APP_DIRS": True,
        "OPTIONS": {
            "context_processors": [
                "django.template.context_processors.request",
                "django.contrib.auth.context_processors.auth",
                "django.contrib.messages.context_processors.messages",
                "eventsapp.context_processors.shell",
            ],
            "builtins": [
                "django.contrib.humanize.templatetags.humanize",
                "django_htmx.templatetags.django_htmx",
                "eventsapp.templatetags.ui",
                "segments.templatetags.segment_links",
            ],
        },
    },
]
FORM_RENDERER = "eventsapp.forms.Renderer"

# Data --------------------------------------------------------------------------------------------------------------

if EMBEDDED:
    DATABASES = {
        "default": {
            "ENGINE": "django.db.backends.sqlite3",
            "NAME": private_folder(VAR) / "eventsapp.sqlite3",
            # A file, as in life: in memory there is no locking to test.
            "TEST": {"NAME": str(VAR / "test.sqlite3")},
            "OPTIONS": {
                # Who began by reading can't write while another does: so every transaction says so first.
                "transaction_mode": "IMMEDIATE",
                "timeout": 20,
                "init_command": "PRAGMA journal_mode=WAL; PRAGMA synchronous=FULL; PRAGMA cache_size=-65536;",
            },
        }
    }
else:
    DATABASES = {"default": env.db("DATABASE_URL")}
    if DATABASES["default"]["ENGINE"] == "django.db.backends.postgresql":
        DATABASES["default"]["OPTIONS"] = {
            # jit spends more than it saves on questions this short.
            "options": "-c jit=off",
            # Django's own choice is to prepare nothing, even what asks for it. Its own statements never ask.
            "prepare_threshold": 5,
        } | DATABASES["default"].get("OPTIONS", {})
        if "WEB" in os.environ:  # see wsgi.py
            pool = {"min_size": 1, "max_size": env.int("DATABASE_POOL", default=20), "timeout": 3}
            DATABASES["default"]["OPTIONS"]["pool"] = pool
        else:
            DATABASES["default"] |= {"CONN_MAX_AGE": 600, "CONN_HEALTH_CHECKS": True}

DEFAULT_AUTO_FIELD = "django.db.models.BigAutoField"
CACHES = {"default": env.cache_url("CACHE_URL", default="locmemcache://")}

# Work behind the pages ---------------------------------------------------------------------------------------------

CELERY_BROKER_URL = env.str("BROKER_URL", default="filesystem://localhost")
if CELERY_BROKER_URL.startswith("filesystem"):
    CELERY_BROKER_TRANSPORT_OPTIONS = {
        "data_folder_in": str(private_folder(VAR / "broker")),
        "data_folder_out": str(VAR / "broker"),
        "control_folder": str(private_folder(VAR / "broker-control")),
        "store_processed": False,
        # The default of one second a queue looks like a worker that hangs.
        "polling_interval": 0.1,
    }
elif CELERY_BROKER_URL.startswith("redis"):
    # A broker that accepts and stays silent must not hold a worker for ever.
    CELERY_BROKER_TRANSPORT_OPTIONS = {"socket_timeout": 10, "socket_connect_timeout": 5, "socket_keepalive": True}
CELERY_BROKER_CONNECTION_RETRY_ON_STARTUP = True
CELERY_BROKER_CONNECTION_MAX_RETRIES = None
CELERY_WORKER_CANCEL_LONG_RUNNING_TASKS_ON_CONNECTION_LOSS = False
CELERY_TASK_IGNORE_RESULT = True
# A worker may be had for each: `celery --app eventsapp.config worker -Q sending`. What may take long is in the last.
CELERY_TASK_QUEUES = [Queue(name, Exchange(name), name) for name in ("matching", "sending", "posting", "celery")]
CELERY_TASK_ROUTES = {
    "messaging.tasks.match_events": {"queue": "matching"},
    "messaging.tasks.sweep": {"queue": "matching"},
    "messaging.tasks.send_due": {"queue": "sending"},
    "messaging.tasks.sweep_sending": {"queue": "sending"},
    "messaging.tasks.post_notifications": {"queue": "posting"},
}
# One log for all: celery would set up its own.
CELERY_WORKER_HIJACK_ROOT_LOGGER = False
CELERY_WORKER_ENABLE_REMOTE_CONTROL = False
CELERY_WORKER_SEND_TASK_EVENTS = False
CELERY_TIMEZONE = "UTC"
CELERY_BEAT_SCHEDULE_FILENAME = str(VAR / "beat-schedule")
CELERY_BEAT_MAX_LOOP_INTERVAL = 5
CELERY_BEAT_SCHEDULE = {
    # Picks up whatever a lost wake-up left. It expires, so that a worker that comes back does not find a pile of them.
    "sweep": {"task": "messaging.tasks.sweep", "schedule": 5, "options": {"expires": 10}},
    "sweep sending": {"task": "messaging.tasks.sweep_sending", "schedule": 5, "options": {"expires": 10}},
    "post notifications": {"task": "messaging.tasks.post_notifications", "schedule": 5, "options": {"expires": 10}},
    "forget notifications": {"task": "messaging.tasks.forget_notifications", "schedule": 3600},
    "roll up": {"task": "eventsapp.tasks.roll_up", "schedule": 60, "options": {"expires": 60}},
    "measure sizes": {"task": "segments.tasks.measure_sizes", "schedule": 60, "options": {"expires": 60}},
}

EMAIL_TIMEOUT = 10
vars().update(env.email_url("EMAIL_URL") if env.str("EMAIL_URL", default="") else {})
if not env.str("EMAIL_URL", default=""):
    EMAIL_BACKEND = "messaging.outbox.OutboxBackend"
EMAIL_OUTBOX = VAR / "outbox"
# Messages of a channel handed over in a second, by all workers together; 0 is as fast as they can.
PER_SECOND = {
    "email": env.float("EMAIL_PER_SECOND", default=0),
    "webhook": env.float("WEBHOOK_PER_SECOND", default=0),
    "in_app": 0,
}

# Mail through a provider, and what it tells of bounces: django-anymail, an extra.
ANYMAIL_PROVIDER = env.str("ANYMAIL_PROVIDER", default="")
ANYMAIL_WEBHOOK_SECRET = env.str("ANYMAIL_WEBHOOK_SECRET", default="")
if ANYMAIL_PROVIDER or ANYMAIL_WEBHOOK_SECRET:
    if find_spec("anymail") is None:
        raise ImproperlyConfigured(
            "ANYMAIL_PROVIDER and ANYMAIL_WEBHOOK_SECRET need django-anymail: pip install 'django-anymail~=15.2'"
        )
    if ANYMAIL_WEBHOOK_SECRET and ":" not in ANYMAIL_WEBHOOK_SECRET:
        raise ImproperlyConfigured("ANYMAIL_WEBHOOK_SECRET is what the provider logs in with, as name:password.")
    if ANYMAIL_PROVIDER and env.str("EMAIL_URL", default=""):
        raise ImproperlyConfigured("EMAIL_URL and ANYMAIL_PROVIDER both say how mail leaves. Set one of them.")
    INSTALLED_APPS.append("anymail")
    ANYMAIL = {"REQUESTS_TIMEOUT": EMAIL_TIMEOUT} | {
        name.removeprefix("ANYMAIL_"): value for name, value in os.environ.items() if name.startswith("ANYMAIL_")
    }
if ANYMAIL_PROVIDER:
    EMAIL_BACKEND = f"anymail.backends.{ANYMAIL_PROVIDER}.EmailBackend"

DEFAULT_FROM_EMAIL = env.str("DEFAULT_FROM_EMAIL", default="Eventsapp <hello@eventsapp.invalid>")
SERVER_EMAIL = DEFAULT_FROM_EMAIL

# Whether webhooks may be posted to this machine and its neighbours.
WEBHOOK_ALLOW_PRIVATE = env.bool("WEBHOOK_ALLOW_PRIVATE", default=False)

# People who use the pages ------------------------------------------------------------------------------------------

LOGIN_URL = "login"
LOGIN_REDIRECT_URL = "home"
LOGOUT_REDIRECT_URL = "login"
AUTHENTICATION_BACKENDS = ["axes.backends.AxesStandaloneBackend", "django.contrib.auth.backends.ModelBackend"]
AUTH_PASSWORD_VALIDATORS = [
    {"NAME": f"django.contrib.auth.password_validation.{name}"}
    for name in ("UserAttributeSimilarityValidator", "MinimumLengthValidator", "CommonPasswordValidator")
]
AXES_CLIENT_IP_CALLABLE = "eventsapp.middleware.client_address"
AXES_FAILURE_LIMIT = 10
AXES_COOLOFF_TIME = 1  # hour
AXES_LOCKOUT_PARAMETERS = [["username", "ip_address"]]
AXES_RESET_ON_SUCCESS = True
AXES_VERBOSE = False
AXES_LOCKOUT_TEMPLATE = "registration/locked.html"

# Seconds after which a question about people is stopped.
QUESTION_SECONDS = env.float("QUESTION_SECONDS", default=20)
# How many conditions of one question PostgreSQL answers at a time, each on a connection of its own.
QUESTION_CONNECTIONS = env.int("QUESTION_CONNECTIONS", default=2)

# Who reads /metrics from elsewhere than this machine sends it.
METRICS_TOKEN = env.str("METRICS_TOKEN", default="")

# Transport ---------------------------------------------------------------------------------------------------------

SECURE_COOKIES = BASE_URL.startswith("https://")
SESSION_COOKIE_SECURE = CSRF_COOKIE_SECURE = SECURE_COOKIES
SESSION_COOKIE_AGE = 14 * 24 * 3600
CSRF_TRUSTED_ORIGINS = [BASE_URL]
CSRF_FAILURE_VIEW = "eventsapp.views.csrf_failure"
SECURE_PROXY_SSL_HEADER = ("HTTP_X_FORWARDED_PROTO", "https") if SECURE_COOKIES else None
X_FRAME_OPTIONS = "DENY"
CONTENT_SECURITY_POLICY = {
    "DIRECTIVES": {
        "default-src": [SELF],
        "script-src": [SELF],
        "style-src": [SELF],
        "img-src": [SELF, "data:"],
        "object-src": [NONE],
        "base-uri": [NONE],
        "form-action": [SELF],
        "frame-ancestors": [NONE],
    }
}
DATA_UPLOAD_MAX_NUMBER_FIELDS = 1000

# The rest of DRF's choices stand on eventsapp.transport.ApiView.
REST_FRAMEWORK = {
    "EXCEPTION_HANDLER": "eventsapp.transport.as_error_list",
    "UNAUTHENTICATED_USER": None,
    "DEFAULT_SCHEMA_CLASS": "eventsapp.openapi.ApiSchema",
}
SPECTACULAR_SETTINGS = {
    "OAS_VERSION": "3.1.1",
    "TITLE": "Eventsapp",
    "VERSION": "0.1.0",
    "DESCRIPTION": (
        "Events, the people who do them, and who belongs together. Every path works with and without a trailing "
        "slash; any Accept, Content-Type and Intercom-Version will do. Whatever is not a success is an error.list, "
        "a path or method that is not here (404, 405) too."
    ),
    "SERVERS": [{"url": BASE_URL}],
    "DEFAULT_GENERATOR_CLASS": "eventsapp.openapi.Generator",
    "POSTPROCESSING_HOOKS": [],
    "SORT_OPERATIONS": False,
    "SORT_OPERATION_PARAMETERS": False,
}

# Whether a thread writes down the latest API requests; tests have them written when they want to.
REQUEST_LOG_WRITES = True

# Pages -------------------------------------------------------------------------------------------------------------

LANGUAGE_CODE = "en-us"
TIME_ZONE = "UTC"
USE_TZ = True
STATIC_URL = "static/"
STATIC_ROOT = private_folder(VAR / "static")
STATICFILES_DIRS = [BASE_DIR / "static"]
STORAGES = {
    "default": {"BACKEND": "django.core.files.storage.FileSystemStorage"},
    "staticfiles": {
        "BACKEND": "django.contrib.staticfiles.storage.StaticFilesStorage"
        if DEBUG
        else "eventsapp.config.static.HashedStatic"
    },
}
WHITENOISE_USE_FINDERS = DEBUG

LOGGING = {
    "version": 1,
    "disable_existing_loggers": False,
    "formatters": {"line": {"()": "eventsapp.logs.Line"}},
    "handlers": {"console": {"class": "logging.StreamHandler", "formatter": "line"}},
    "root": {"handlers": ["console"], "level": "INFO"},
    "loggers": {
        "django": {"handlers": ["console"], "level": "WARNING", "propagate": False},
        "django.request": {"level": "ERROR"},
        "celery": {"level": "WARNING"},
        "axes": {"level": "ERROR"},
    },
}
