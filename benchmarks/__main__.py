"""`make bench`: measures, prints HIT or MISS beside each goal, ends with 1 when one is missed or the run is void."""

import sys

from benchmarks import ingest, overlap
from benchmarks.goals import Report, Void


def main() -> int:
    report = Report()
    try:
        ingest.measure(report)
        overlap.measure(report)
    except Void as error:
        print(f"VOID  {error}")
        return 1
    return 1 if report.missed else 0


if __name__ == "__main__":
    sys.exit(main())
