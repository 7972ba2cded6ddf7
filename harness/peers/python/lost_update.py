"""The program of the experiment lost-update in Python: threads that add to one count, as in harness/src/experiment/lost_update.rs. A plain
`+=` can be interrupted between reading and writing up to CPython 3.9, and cannot since 3.10; with a call in between it can be in every version.

    python3 lost_update.py updates=100000 between=1 locked=0 interval-us=0 threads=5
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


def run(values):
    updates, threads = values["updates"], values["threads"]
    between, locked = values["between"], values["locked"]
    before = sys.getswitchinterval()
    if values["interval-us"]:
        sys.setswitchinterval(values["interval-us"] / 1e6)
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

    try:
        on_threads(threads, part)
    finally:
        sys.setswitchinterval(before)
    expected = updates * threads
    lost = expected - (count.value - BEYOND_CACHE)
    # The count, and an integer for each update.
    return Outcome(mix(expected), expected, 1 + expected, 8 + 8 * expected, {"lost_updates": max(lost, 0)})


execute({"updates": 1000000, "between": 0, "locked": 0, "interval-us": 0}, run)
