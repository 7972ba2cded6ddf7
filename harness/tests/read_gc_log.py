"""Reads a unified log with the parser of the package jvmind-ce, and prints what it found as JSON.

The package's own start imports a web server and more, which the parser does not need: it is
imported from the directory that it lies in.
"""

import importlib.util
import json
import pathlib
import sys


def parser():
    specification = importlib.util.find_spec("react_agent")
    sys.path.insert(0, str(pathlib.Path(specification.origin).parent))
    from gc_analyzer import parse_gc_log

    return parse_gc_log


def kibibytes(mebibytes):
    return round(mebibytes * 1024)


def main(path):
    with open(path) as log:
        found = parser()(log.read())
    json.dump(
        {
            "collector": found["collector"],
            "collections": [
                {
                    "number": event.id,
                    "uptime": event.uptime_sec,
                    "kind": event.category,
                    "cause": event.cause,
                    "kibibytes": [
                        kibibytes(event.heap_before_mb),
                        kibibytes(event.heap_after_mb),
                        kibibytes(event.heap_total_mb),
                    ],
                    "milliseconds": event.duration_ms,
                }
                for event in found["events"]
            ],
        },
        sys.stdout,
    )


if __name__ == "__main__":
    main(sys.argv[1])
