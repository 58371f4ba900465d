"""Many writers of the same people and names at once: is each event that was answered with 202 stored, and once?"""

from collections import Counter

from benchmarks.goals import Report
from tests.live import Installation, database, free_port
from tests.poster import four_posters, stored_orders


def measure(report: Report, *, seconds: int = 60):
    """Have four processes of eight threads post to two web processes on one PostgreSQL for so long."""
    with database() as url, Installation(DATABASE_URL=url) as installation:
        installation.set_up()
        ports = [installation.port, free_port()]
        for port in ports:
            installation.start_web(port)
        with four_posters(installation, ports, seconds=seconds) as answers:
            pass
        stored = stored_orders(installation)
        report.fact(installation.manage("check_summaries"))
    statuses = Counter(status for seen in answers.values() for status in seen)
    report.fact(f"32 threads for {seconds} s, two web processes: {dict(statuses)}, {len(stored):,} stored")
    exact = sum(stored.get(order) == 1 for order, seen in answers.items() if seen[-1] == 202)
    report.goal(
        "answers of overlapping writers that are 202", 100 * statuses[202] / statuses.total(), "%", at_least=100
    )
    report.goal("… of these stored exactly once", 100 * exact / len(stored), "%", at_least=100)
