"""The program of the experiment switch-interval in Python: threads that go round in a loop and note how long they do so undisturbed, as in
harness/src/experiment/switch_interval.rs. A long operation is a native call that keeps the global lock.

    python3 switch_interval.py milliseconds=300 operation-ms=0 interval-us=0 threads=2
    harness claims switch-interval
"""

import binascii
import sys
import time

from peer import Outcome, execute, median, mix, on_threads

MOST_RUNS = 1 << 16
CHUNK = bytes(1 << 20)


def operation_of(length):
    """Data that a native call takes at least `length` nanoseconds to look through, and how long it takes at least. It cannot be timed while others
    run: they may get the lock before the caller has read the clock."""
    fastest = min(timed(CHUNK) for _ in range(5))
    chunks = length // fastest + 1
    return CHUNK * chunks, fastest * chunks


def timed(data):
    start = time.monotonic_ns()
    binascii.crc_hqx(data, 0)
    return time.monotonic_ns() - start


def run(values):
    milliseconds, threads = values["milliseconds"], values["threads"]
    before = sys.getswitchinterval()
    if values["interval-us"]:
        sys.setswitchinterval(values["interval-us"] / 1e6)
    data, operation = None, 0
    if values["operation-ms"]:
        data, operation = operation_of(values["operation-ms"] * 1000000)
    clock = time.monotonic_ns
    # The thread that made the last turn, and when it made its first.
    last = None
    begun = 0
    until = clock() + milliseconds * 1000000

    def part(me):
        nonlocal last, begun
        ended = []
        longest = 0
        next_operation = 0
        operates = data is not None and me == 0
        while True:
            now = clock()
            if last != me:
                before, last = last, me
                run = now - begun
                begun = now
                if before is not None and len(ended) < MOST_RUNS:
                    ended.append(run)
                    longest = max(longest, run)
            if operates and now >= next_operation:
                binascii.crc_hqx(data, 0)
                next_operation = clock() + 2 * operation
            if now >= until:
                if last == me:
                    longest = max(longest, clock() - begun)
                return ended, longest

    try:
        parts = on_threads(threads, part)
    finally:
        sys.setswitchinterval(before)
    runs = [run for ended, _ in parts for run in ended]
    observed = {"runs_count": len(runs), "longest_run_ns": max(longest for _, longest in parts)}
    if runs:
        observed["median_run_ns"] = median(runs)
    if operation:
        observed["operation_ns"] = operation
    return Outcome(mix(milliseconds), milliseconds, 0, 0, observed)


execute({"milliseconds": 300, "operation-ms": 0, "interval-us": 0}, run)
