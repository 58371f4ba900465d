"""What granian serves."""

import gc
import os
from http import HTTPStatus

import django
from django.core.handlers.wsgi import WSGIHandler, WSGIRequest
from django.db import DEFAULT_DB_ALIAS, connections

# Its threads share a pool of connections; any other process has one, and keeps it.
os.environ["WEB"] = "true"
os.environ.setdefault("DJANGO_SETTINGS_MODULE", "eventsapp.config.settings")
django.setup(set_prefix=False)

from eventsapp.browser_api import quick_answers  # noqa: E402
from eventsapp.middleware import is_page  # noqa: E402


class Handler(WSGIHandler):
    """Django's own, and for the API its short form: no signals, no cookies, an answer that is whole.

    What this saves is a fifth of what storing an event costs here. A browser's poll does without Django.
    """

    def __call__(self, environ, start_response):
        if is_page(environ["PATH_INFO"]):
            return super().__call__(environ, start_response)
        try:
            for answer in quick_answers:
                if quick := answer(environ):
                    status, headers, body = quick
                    start_response(f"{status} {HTTPStatus(status).phrase}", list(headers.items()))
                    return [body]
            response = self._middleware_chain(WSGIRequest(environ))
        finally:
            own = connections[DEFAULT_DB_ALIAS]
            if own.connection is not None:
                own.close_if_unusable_or_obsolete()
        start_response(f"{response.status_code} {response.reason_phrase}", list(response.items()))
        return [b"".join(response)]


application = Handler()

# What is loaded by now stays, so nobody need look through it for garbage; and requests leave little of it.
gc.collect()
gc.freeze()
gc.set_threshold(20_000, 20, 20)
