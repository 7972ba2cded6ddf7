"""Whether two result files, but for their figures, have the same rows in the same order.

    same_rows.py ALONE MERGED FAILED

What was asked for and what came out of it are compared: every column of IDENTITY. Everything else
was measured, or says where and when. A process that ended without figures, and was run again, is
left out, as in every report; there must be FAILED of them.
"""

import json
import sys

IDENTITY = [
    # What was asked for.
    "schema", "workload", "size", "parameters", "threads", "seed", "heap", "options", "heap_bytes",
    "minimum_heap_bytes", "iterations", "invocation", "iteration", "twin", "experiment",
    # What was done.
    "status", "message", "checksum", "operation", "operations", "allocated_objects",
    "allocated_payload_bytes",
]  # fmt: skip
PROCESS = ["workload", "heap", "twin", "invocation"]


def rows_of(path):
    with open(path) as lines:
        return [json.loads(line) for line in lines]


def process(row):
    return [row[name] for name in PROCESS]


def main(alone, merged, failed):
    sides = [rows_of(alone), rows_of(merged)]
    accidents = [process(row) for row in sides[1] if row["status"] in ("crashed", "timeout")]
    if len(accidents) != failed:
        sys.exit(f"{len(accidents)} processes ended without figures, and not {failed}")
    # What a process had measured before it was killed goes with it.
    sides[1] = [row for row in sides[1] if row["again"] or process(row) not in accidents]
    missing = [name for name in IDENTITY if any(name not in row for side in sides for row in side)]
    if missing:
        sys.exit(f"rows without {missing}")
    one, other = ([[row[name] for name in IDENTITY] for row in side] for side in sides)
    if one != other:
        print(f"{len(one)} rows on one machine, {len(other)} merged", file=sys.stderr)
        for left, right in zip(one, other):
            if left != right:
                sys.exit(f"{left}\n{right}")
        sys.exit(1)
    equal = {
        name for name in sides[0][0]
        if all(left.get(name) == right.get(name) for left, right in zip(*sides))
    }  # fmt: skip
    others = sorted(equal - set(IDENTITY))
    print(f"{len(one)} rows; equal, beside what must be: {', '.join(others)}")


if __name__ == "__main__":
    main(sys.argv[1], sys.argv[2], int(sys.argv[3]))
