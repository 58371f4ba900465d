"""`manage.py serve`: everything in one process tree."""

import os
import socket

from django.conf import settings
from django.core.management import call_command
from django.core.management.base import BaseCommand, CommandError

from eventsapp.supervisor import become_supervisor, clock, web, workers
from messaging import demo

GREETING = """
Eventsapp is at {url}

  Log in as {email} with the password {password}

  Send an event. Paste this, twice if you like: each is an event of its own.

{curl}

  Its person and the message it causes are on the page within two seconds.

  Or click in a shop that has our JavaScript in its page: {url}/demo-shop/

  Ctrl-C ends everything.
"""
SERVER_GREETING = """
Eventsapp is at {url}

  A workspace, its first admin (the password is printed) and an app's token are made with

    python manage.py create_workspace "My product"
    python manage.py create_staff you@example.org
    python manage.py create_token --name my-app
"""


class Command(BaseCommand):
    help = "Run the web, the worker and its clock in one process tree. Sets up what is missing first."
    requires_migrations_checks = False

    def add_arguments(self, parser):
        parser.add_argument("--host", default=settings.HOST)
        parser.add_argument("--port", type=int, default=settings.PORT)

    def handle(self, *, host, port, **options):
        _check_port(host, port)
        url = settings.BASE_URL if "BASE_URL" in os.environ else f"http://{host}:{port}"
        os.environ.setdefault("BASE_URL", url)
        call_command("migrate", verbosity=0)
        call_command("collectstatic", interactive=False, verbosity=0)
        self.stdout.write(self._greeting(url))
        self.stdout.flush()
        # Whatever folder this was called from, the children find the code.
        os.environ["PYTHONPATH"] = os.pathsep.join(filter(None, (str(settings.BASE_DIR), os.environ.get("PYTHONPATH"))))
        become_supervisor({"web": web(host, port)} | workers(embedded=settings.EMBEDDED) | {"clock": clock()})

    def _greeting(self, url):
        if not settings.EMBEDDED:
            return SERVER_GREETING.format(url=url)
        kept = demo.set_up()
        return GREETING.format(
            url=url, email=kept["email"], password=kept["password"], curl=demo.curl(url, kept["token"])
        )


def _check_port(host, port):
    """Say at once that the port is taken, rather than start a child again and again."""
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    with socket.socket(family, socket.SOCK_STREAM) as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((host, port))
            probe.listen(1)
        except OSError as error:
            message = f"{host}:{port} cannot be used: {error.strerror}. Choose another with PORT=8001 or --port 8001."
            raise CommandError(message) from error
