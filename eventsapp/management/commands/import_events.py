"""`manage.py import_events FILE`"""

import time
from pathlib import Path

from django.conf import settings
from django.core.management.base import BaseCommand, CommandError
from tqdm import tqdm

from eventsapp.config.embedded import private_folder
from eventsapp.importing import import_file
from eventsapp.management.arguments import add_workspace, chosen_workspace


class Command(BaseCommand):
    help = "Store the events of a .csv or .jsonl file. Fires no message; running it again doubles nothing."

    def add_arguments(self, parser):
        parser.add_argument("file", type=Path)
        add_workspace(parser)

    def handle(self, *, file, workspace, **options):
        found = chosen_workspace(workspace)
        if not file.is_file():
            raise CommandError(f"There is no file {file}.")
        rejected = private_folder(settings.VAR / "imports") / f"{file.stem}-{time.time_ns()}.rejected.jsonl"
        bar = tqdm(total=file.stat().st_size, unit="B", unit_scale=True, desc=file.name, file=self.stderr._out)
        try:
            with bar:
                report = import_file(
                    found, file, rejected=rejected, progress=lambda position: bar.update(position - bar.n)
                )
        except ValueError as error:
            raise CommandError(str(error)) from error
        self.stdout.write(f"{report.stored:,} stored, {report.duplicates:,} were there, {report.refused:,} refused.")
        if report.refused:
            for line, sentence in report.first_refused:
                self.stderr.write(f"line {line}: {sentence}")
            raise CommandError(
                f"The {report.refused:,} refused rows are in {rejected}. Mend them and import that file."
            )
