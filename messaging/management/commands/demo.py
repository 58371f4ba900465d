"""`manage.py demo`: people and events to look at."""

from django.core.management.base import BaseCommand
from tqdm import tqdm

from eventsapp.management.arguments import add_workspace, chosen_workspace
from messaging import demo


class Command(BaseCommand):
    help = "Make demo people and what they did in the last 90 days, through the real ingest. Fires no message."

    def add_arguments(self, parser):
        parser.add_argument("--people", type=int, default=demo.PEOPLE)
        parser.add_argument("--events", type=int, default=demo.EVENTS)
        parser.add_argument("--seed", type=int, default=demo.SEED)
        add_workspace(parser)

    def handle(self, *, people, events, seed, workspace, **options):
        found = chosen_workspace(workspace)
        with tqdm(total=max(events, people), unit=" events", file=self.stderr._out, disable=None) as bar:
            demo.fill(found, people=people, events=events, seed=seed, progress=bar.update)
        demo.add_segments(found)
        self.stdout.write(f"{people:,} people and {max(events, people):,} events are in {found.name} ({found.app_id}).")
