"""The program of the experiment contention in Python: small operations of threads on objects of their own, for a given time, as in
harness/src/experiment/contention.rs.

    python3 contention.py milliseconds=150 visits=2000 interval-us=0 threads=8
    harness claims contention
"""

import sys
import threading
import time

from peer import Outcome, execute, mix, on_threads

OBJECTS = 1000


class Node:
    __slots__ = ("next", "word")

    def __init__(self, next):
        self.next = next
        self.word = 0


def run(values):
    milliseconds, visits, threads = values["milliseconds"], values["visits"], values["threads"]
    before = sys.getswitchinterval()
    if values["interval-us"]:
        sys.setswitchinterval(values["interval-us"] / 1e6)
    clock = time.monotonic_ns
    start = threading.Barrier(threads)
    begun = []

    def part(_):
        first = None
        for _ in range(OBJECTS):
            first = Node(first)
        start.wait()
        # The first thread to run says when it began.
        if not begun:
            begun.append(clock())
        last = begun[0]
        until = last + milliseconds * 1000000
        times = []
        node = first
        while not times or last < until:
            for _ in range(visits):
                node.word += 1
                node = node.next or first
            now = clock()
            times.append(now - last)
            last = now
        return times

    try:
        parts = on_threads(threads, part)
    finally:
        sys.setswitchinterval(before)
    times = sorted(time for part in parts for time in part)
    least = min(len(part) for part in parts)
    seen = {
        "operations_count": len(times),
        "least_share_percent": 100 * least * threads // len(times),
        "longest_operation_ns": times[-1],
        "mean_operation_ns": sum(times) // len(times),
    }
    # Fewer than ten above it say nothing.
    if len(times) >= 1000:
        seen["p99_operation_ns"] = times[-(len(times) // 100)]
    made = OBJECTS * threads
    return Outcome(mix(milliseconds), milliseconds, made, 16 * made, seen)


execute({"milliseconds": 150, "visits": 2000, "interval-us": 0}, run)
