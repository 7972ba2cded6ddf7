"""The program of the experiment lost-update in Python: threads that add to one count, as in harness/src/experiment/lost_update.rs. A plain
`+=` can be interrupted between reading and writing up to CPython 3.9, and cannot since 3.10; with a call in between it can be in every version.

    python3 lost_update.py updates=100000 runs=1 between=1 locked=0 interval-us=0 threads=5
    harness claims lost-update
"""

import sys
import threading

from peer import Outcome, execute, mix, on_threads

# What the count starts at: the interpreter keeps small numbers, and does not allocate them.
BEYOND_CACHE = 1024


class Count:
    __slots__ = ("value",)

    def __init__(self):
        self.value = BEYOND_CACHE


def successor(value):
    return value + 1


def lost_in_a_run(values):
    updates, threads = values["updates"], values["threads"]
    between, locked = values["between"], values["locked"]
    count = Count()
    lock = threading.Lock()
    start = threading.Barrier(threads)

    def part(_):
        start.wait()
        if locked and between:
            for _ in range(updates):
                with lock:
                    count.value = successor(count.value)
        elif locked:
            for _ in range(updates):
                with lock:
                    count.value += 1
        elif between:
            for _ in range(updates):
                count.value = successor(count.value)
        else:
            for _ in range(updates):
                count.value += 1

    on_threads(threads, part)
    return max(updates * threads - (count.value - BEYOND_CACHE), 0)


def run(values):
    runs = values["runs"]
    before = sys.getswitchinterval()
    if values["interval-us"]:
        sys.setswitchinterval(values["interval-us"] / 1e6)
    try:
        lost = [lost_in_a_run(values) for _ in range(runs)]
    finally:
        sys.setswitchinterval(before)
    updates = runs * values["updates"] * values["threads"]
    observations = {
        "lost_updates": sum(lost),
        "runs_count": runs,
        "losing_runs_count": sum(1 for each in lost if each),
    }
    # A count for each run, and an integer for each update.
    made = runs + updates
    return Outcome(mix(updates), updates, made, 8 * made, observations)


execute({"updates": 1000000, "runs": 1, "between": 0, "locked": 0, "interval-us": 0}, run)
