"""The program of the experiment broken-links in Python: links changed in two steps by one thread and looked at by another, as in
harness/src/experiment/broken_links.rs. Between the two steps is a call: a thread may be suspended there in every version.

    python3 broken_links.py milliseconds=150 locked=0 interval-us=0 threads=2
    harness claims broken-links
"""

import sys
import threading
import time

from peer import Outcome, execute, mix, on_threads


class Node:
    __slots__ = ("next", "previous")


def step():
    return None


def put(first, last, between):
    """Makes `between` the neighbour of both; None for nothing in between."""
    first.next = between or last
    step()
    last.previous = between or first


def is_broken(node):
    while node.next is not None:
        if node.next.previous is not node:
            return True
        node = node.next
    return False


def run(values):
    length = values["milliseconds"] * 1000000
    before = sys.getswitchinterval()
    if values["interval-us"]:
        sys.setswitchinterval(values["interval-us"] / 1e6)
    lock = threading.Lock() if values["locked"] else None
    first, middle, last = Node(), Node(), Node()
    first.next, last.next, last.previous = last, None, first
    middle.next, middle.previous = last, first
    start = threading.Barrier(2)
    seen = {"looks_count": 0, "broken_looks_count": 0}

    def turn(thread, is_in):
        if thread == 0:
            put(first, last, middle if is_in else None)
        else:
            seen["looks_count"] += 1
            seen["broken_looks_count"] += is_broken(first)

    def part(thread):
        is_in = False
        start.wait()
        begun = time.monotonic_ns()
        while time.monotonic_ns() - begun < length:
            is_in = not is_in
            if lock is None:
                turn(thread, is_in)
            else:
                with lock:
                    turn(thread, is_in)

    try:
        on_threads(2, part)
    finally:
        sys.setswitchinterval(before)
    # Three nodes with two references each.
    return Outcome(mix(values["milliseconds"]), values["milliseconds"], 3, 48, seen)


execute({"milliseconds": 150, "locked": 0, "interval-us": 0}, run)
