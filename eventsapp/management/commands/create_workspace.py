"""`manage.py create_workspace NAME`"""

from django.core.management.base import BaseCommand

from eventsapp.models import Workspace


class Command(BaseCommand):
    help = "Make a workspace; prints its app_id alone."

    def add_arguments(self, parser):
        parser.add_argument("name")
        parser.add_argument("--unknown-people", choices=Workspace.UnknownPeople.values, default="create")

    def handle(self, *, name, unknown_people, **options):
        self.stdout.write(Workspace.objects.create(name=name, unknown_people=unknown_people).app_id)
