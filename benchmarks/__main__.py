"""`make bench`: measures, prints HIT or MISS beside each goal, ends with 1 when one is missed or the run is void.

`python -m benchmarks segments` measures one part alone.
"""

import sys

from benchmarks import ingest, messages, overlap, pages, segments
from benchmarks.goals import Report, Void

PARTS = {"ingest": ingest, "overlap": overlap, "messages": messages, "pages": pages, "segments": segments}


def main(names: list[str]) -> int:
    if unknown := sorted(set(names) - PARTS.keys()):
        print(f"There is no {', '.join(unknown)}. The parts are: {', '.join(PARTS)}.")
        return 2
    report = Report()
    try:
        for name in names or PARTS:
            PARTS[name].measure(report)
    except Void as error:
        print(f"VOID  {error}")
        return 1
    return 1 if report.missed else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
