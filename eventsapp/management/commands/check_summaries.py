"""`manage.py check_summaries [--repair]`"""

from django.core.management.base import BaseCommand, CommandError

from eventsapp import summaries

SHOWN = 20


class Command(BaseCommand):
    help = "Compare every count, first and last with the events themselves. Exits 1 when one is wrong."

    def add_arguments(self, parser):
        parser.add_argument("--repair", action="store_true", help="Write what the events say.")

    def handle(self, *, repair: bool, **options):
        wrong = summaries.differences()
        for type, contact, *numbers in wrong[:SHOWN]:
            kept, true = numbers[:3], numbers[3:]
            self.stdout.write(f"type {type}, contact {contact}: kept {_words(kept)}, true {_words(true)}")
        if len(wrong) > SHOWN:
            self.stdout.write(f"… and {len(wrong) - SHOWN:,} more")
        if not wrong:
            self.stdout.write("Every summary says what its events say.")
        elif repair:
            summaries.repair()
            self.stdout.write(f"{len(wrong):,} mended.")
        else:
            raise CommandError(f"{len(wrong):,} summaries are wrong. Mend them with --repair.")


def _words(numbers):
    count, first, last = numbers
    return f"{count or 0:,} times, {first} to {last}"
