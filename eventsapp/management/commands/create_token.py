"""`manage.py create_token --name NAME`"""

from django.core.management.base import BaseCommand

from eventsapp.management.arguments import add_workspace, chosen_workspace
from eventsapp.models import ApiToken, Scope


class Command(BaseCommand):
    help = "Make an app's token; prints its secret alone, which is kept nowhere."

    def add_arguments(self, parser):
        parser.add_argument("--name", required=True, help="What you will know it by.")
        parser.add_argument("--scope", choices=Scope.values, default=Scope.WRITE)
        add_workspace(parser)

    def handle(self, *, name, scope, workspace, **options):
        self.stdout.write(ApiToken.make(workspace=chosen_workspace(workspace), name=name, scope=scope)[1])
