"""A worker that works when it is told, and says when it is done: `match`, or `delete NAME`, a line each.

`python -m tests.told` in the environment of an installation.
"""

import sys

import django


def main():
    django.setup()

    from eventsapp import deleting
    from eventsapp.models import EventType
    from messaging import matching

    for line in sys.stdin:
        match line.split():
            case ["match"]:
                matching.match_waiting()
            case ["delete", name]:
                deleting.ask_to_delete(EventType.objects.get(name=name))
                deleting.delete_what_was_asked()
        print("done", flush=True)  # noqa: T201


if __name__ == "__main__":
    main()
