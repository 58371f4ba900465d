"""`manage.py import_people FILE`"""

import time
from pathlib import Path

from django.conf import settings
from django.core.management.base import BaseCommand, CommandError
from tqdm import tqdm

from eventsapp.attributes import CUSTOM
from eventsapp.config.embedded import private_folder
from eventsapp.management.arguments import add_workspace, chosen_workspace
from eventsapp.people_columns import FIELDS, Columns, Kinds, faults_in_targets, guess, names_somebody
from eventsapp.people_import import SAMPLE, Became, import_file, open_rows
from eventsapp.tags import fault_in_name


class Command(BaseCommand):
    help = (
        "Make and change the people of a .csv file, as POST /users does. Fires no message and makes no event; running "
        "it again changes nothing."
    )

    def add_arguments(self, parser):
        parser.add_argument("file", type=Path)
        add_workspace(parser)
        parser.add_argument(
            "--map",
            metavar="COLUMN=FIELD",
            action="append",
            default=[],
            help=f"What a column is, where its name does not say so: {', '.join(FIELDS)}, {CUSTOM}NAME, or nothing, "
            "to leave it out.",
        )
        parser.add_argument("--tag", metavar="NAME", action="append", default=[], help="A tag to put on all of them.")

    def handle(self, *, file, workspace, tag, **options):
        found = chosen_workspace(workspace)
        if not file.is_file():
            raise CommandError(f"There is no file {file}.")
        for fault in filter(None, map(fault_in_name, tag)):
            raise CommandError(fault)
        try:
            columns = self._columns(found, file, options["map"], tag)
            rejected = private_folder(settings.VAR / "imports") / f"{file.stem}-{time.time_ns()}.rejected.csv"
            bar = tqdm(total=file.stat().st_size, unit="B", unit_scale=True, desc=file.name, file=self.stderr._out)
            with bar:
                report = import_file(
                    found, file, columns, rejected=rejected, progress=lambda position: bar.update(position - bar.n)
                )
        except ValueError as error:
            raise CommandError(str(error)) from error
        self.stdout.write(", ".join(f"{report.became[what]:,} {what}" for what in Became) + ".")
        if refused := report.became[Became.REFUSED]:
            for line, sentence in report.first_refused:
                self.stderr.write(f"line {line}: {sentence}")
            raise CommandError(f"The {refused:,} refused rows are in {rejected}. Mend them and import that file.")

    def _columns(self, workspace, file, maps, tags) -> Columns:
        with file.open("rb") as raw:
            header, rows = open_rows(raw)
            kinds, sample = Kinds(len(header)), []
            for _, cells in rows:
                kinds.see(cells)
                if len(sample) < SAMPLE:
                    sample.append(cells)
        targets = guess(workspace, header, sample)
        for name, is_mapped, target in (words.rpartition("=") for words in maps):
            if not is_mapped or name not in header:
                known = ", ".join(header)
                raise CommandError(f"“{name or target}” is no column. Write COLUMN=FIELD; the columns are {known}.")
            targets[header.index(name)] = target
        if faults := faults_in_targets(targets):
            raise CommandError("\n".join(f"{header[place]}: {fault}" for place, fault in faults.items()))
        if not names_somebody(targets):
            raise CommandError("No column says who a row is about. Say which: --map COLUMN=user_id, email or id.")
        for name, target in zip(header, targets, strict=True):
            self.stderr.write(f"{name}: {target or 'left out'}")
        return Columns.of(workspace, header, targets, kinds.of, tags)
