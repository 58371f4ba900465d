"""Asks the product's own engine, in a process of its own: a question a line comes in, an answer a line goes out.

A question with `edited` is that of a page whose first row has changed since: how long does the page wait, and how long
does that row take alone?
"""

import json
import sys
import time

import django


def main():
    django.setup()
    from django.db import connection

    from eventsapp.models import Workspace
    from segments import postgresql  # noqa: F401  a web process has loaded it long ago
    from segments.days import Clock
    from segments.definition import parse
    from segments.engine import answer, ids_of, one_moment
    from segments.recent import Recent

    def ask(definition, now, **parts) -> dict:
        began = time.perf_counter()
        with one_moment():
            asked = parse(workspace, definition)
            count = answer(asked, now, **parts).count
        return {"count": count, "milliseconds": 1000 * (time.perf_counter() - began), "words": str(asked)}

    def ask_edited(before, after, now) -> dict:
        """`own` is the time of the row that changed."""
        ask(before, now, recent=Recent(workspace, now, only_fill=True))
        found = ask(after, now, recent=Recent(workspace, now, only_fill=False))
        [row, *_] = parse(workspace, after).conditions
        began = time.perf_counter()
        with one_moment():
            ids_of(row.contacts(Clock(now, workspace.zone)))
        return found | {"own": 1000 * (time.perf_counter() - began)}

    for line in sys.stdin:
        question = json.loads(line)
        connection.close()
        workspace = Workspace.objects.get()
        definition, now = question["definition"], question["now"]
        edited = question.get("edited")
        found = ask_edited(definition, edited, now) if edited else ask(definition, now)
        print(json.dumps(found), flush=True)


if __name__ == "__main__":
    main()
