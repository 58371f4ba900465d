"""Asks the product's own engine, in a process of its own: a question a line comes in, an answer a line goes out."""

import json
import sys
import time

import django


def main():
    django.setup()
    from django.db import connection

    from eventsapp.models import Workspace
    from segments import postgresql  # noqa: F401  a web process has loaded it long ago
    from segments.definition import parse
    from segments.engine import answer, one_moment

    workspace = Workspace.objects.get()
    for line in sys.stdin:
        question = json.loads(line)
        connection.close()
        connection.ensure_connection()
        began = time.perf_counter()
        with one_moment():
            definition = parse(workspace, question["definition"])
            found = answer(definition, question["now"])
            count = found.count
        took = 1000 * (time.perf_counter() - began)
        print(json.dumps({"count": count, "milliseconds": took, "words": str(definition)}), flush=True)


if __name__ == "__main__":
    main()
