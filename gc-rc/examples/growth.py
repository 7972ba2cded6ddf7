"""The program of growth.rs in Python, with CPython's own collector: run by it, or alone with numbers of objects.

Prints for each number: version, objects, collections, longest pause, all pauses, and all of the time, in nanoseconds.
"""

import gc
import platform
import sys
import time

LISTS = 1000


class Node:
    __slots__ = ("a", "b", "word")

    def __init__(self, a, b, word):
        self.a = a
        self.b = b
        self.word = word


def grow(objects):
    """Builds `objects` objects of two fields and a word in many lists; the lengths of the collections, and of all of it."""
    begun = 0
    pauses = []

    def note(phase, info):
        nonlocal begun
        now = time.monotonic_ns()
        if phase == "start":
            begun = now
        else:
            pauses.append(now - begun)

    gc.collect()
    gc.callbacks.append(note)
    table = [None] * LISTS
    start = time.monotonic_ns()
    for number in range(objects):
        front = table[number % LISTS]
        table[number % LISTS] = Node(front, front, number)
    end = time.monotonic_ns()
    gc.callbacks.remove(note)
    return pauses, end - start


for argument in sys.argv[1:]:
    pauses, time_ns = grow(int(argument))
    print(platform.python_version(), argument, len(pauses), max(pauses, default=0), sum(pauses), time_ns)
