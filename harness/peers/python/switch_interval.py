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
    """Data that a native call takes at least `length` nanoseconds to look through."""
    fastest = min(timed(CHUNK) for _ in range(5))
    return CHUNK * (length // fastest + 1)


def timed(data):
    start = time.monotonic_ns()
    binascii.crc_hqx(data, 0)
    return time.monotonic_ns() - start


def run(values):
    milliseconds, threads = values["milliseconds"], values["threads"]
    before = sys.getswitchinterval()
    if values["interval-us"]:
        sys.setswitchinterval(values["interval-us"] / 1e6)
    data = operation_of(values["operation-ms"] * 1000000) if values["operation-ms"] else None
    clock = time.monotonic_ns
    last = [None]
    until = clock() + milliseconds * 1000000

    def part(me):
        ended = []
        longest = 0
        shortest_operation = None
        now = clock()
        begun = seen = next_operation = now
        operates = data is not None and me == 0
        while True:
            if last[0] != me:
                if seen > begun and len(ended) < MOST_RUNS:
                    ended.append(seen - begun)
                last[0] = me
                begun = now
            seen = now
            if operates and now >= next_operation:
                took = timed(data)
                shortest_operation = min(took, shortest_operation or took)
                after = clock()
                next_operation = after + 2 * took
                if last[0] == me:
                    seen = after
            if seen - begun > longest:
                longest = seen - begun
            if now >= until:
                return ended, longest, shortest_operation
            now = clock()

    try:
        parts = on_threads(threads, part)
    finally:
        sys.setswitchinterval(before)
    runs = [run for ended, _, _ in parts for run in ended]
    observed = {"runs_count": len(runs), "longest_run_ns": max(longest for _, longest, _ in parts)}
    if runs:
        observed["median_run_ns"] = median(runs)
    operations = [operation for _, _, operation in parts if operation]
    if operations:
        observed["operation_ns"] = min(operations)
    return Outcome(mix(milliseconds), milliseconds, 0, 0, observed)


execute({"milliseconds": 300, "operation-ms": 0, "interval-us": 0}, run)
