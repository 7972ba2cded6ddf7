"""The workload countdown in Python: the same numbers as in harness/src/workload/countdown.rs, split over threads in the same way.

An integer is an object, so that each decrement makes a new one and drops the old one. So does each addition to the checksum, whose
objects are not counted.

    python3 countdown.py total=50000000 threads=1
    harness run countdown --peer cpython
"""

import sys

from peer import WORD, Outcome, execute, mix, on_threads, share

# Added to each number: the interpreter keeps small ones, and does not allocate them.
BEYOND_CACHE = 1024


def run(values):
    total, threads = values["total"], values["threads"]

    def part(thread):
        begin, end = share(total, threads, thread)
        first = begin + BEYOND_CACHE
        count = end + BEYOND_CACHE
        seen = 0
        while count > first:
            seen += count
            count -= 1
        return seen - BEYOND_CACHE * (end - begin)

    before = sys.getswitchinterval()
    if values["interval-us"]:
        sys.setswitchinterval(values["interval-us"] / 1e6)
    try:
        checksum = mix(sum(on_threads(threads, part)) & WORD)
    finally:
        sys.setswitchinterval(before)
    # An integer for each decrement, and the one that each thread begins with.
    made = total + threads
    return Outcome(checksum, total, made, 8 * made)


execute({"total": 50000000, "interval-us": 0}, run)
