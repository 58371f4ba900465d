"""Doing things at the same moment."""

from concurrent.futures import ThreadPoolExecutor

from django.db import connections


def side_by_side(n, act):
    """Let `n` threads do it at once, each with its number; return what they return, or raise what one of them raises."""

    def run(number):
        try:
            return act(number)
        finally:
            connections.close_all()

    with ThreadPoolExecutor(n) as threads:
        running = [threads.submit(run, number) for number in range(n)]
    return [thread.result() for thread in running]
