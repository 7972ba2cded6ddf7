"""The workload sawtooth in Python: the same objects in the same order as in harness/src/workload/sawtooth.rs, of which the same survive, split over
threads in the same way. With probes=1 it asks for a collection of cycles at each peak, after each fall and after each calm round.

    python3 sawtooth.py bytes=2000000 rounds=120 survivors=5 threads=1
    harness run sawtooth --peer cpython

A word is a slot, which the collector examines like a reference, and most stay empty. An object takes 24 bytes more than in gc-marksweep (16 of
header and 16 of the collector's for its 8), which is most of the smallest size. The interpreter does not say how much of its
heap is occupied; the resident sizes are observed, and show what goes back to the system.
"""

import gc
from collections import deque

from peer import WORD, Outcome, execute, mix, on_threads, resident_bytes, share

HEADER = 8
CALM = 16
# Rounds for which survivors stay.
STAY = 10


def kind(size):
    """The class of the objects that have this size with an 8-byte header: a reference, which ties survivors together, and words."""
    words = (size - HEADER) // 8 - 1

    class Item:
        __slots__ = ("next", "number") + tuple("word_%d" % word for word in range(1, words))

        def __init__(self, number):
            self.number = number

    return Item


SIZES = (32, 256, 2048)
KINDS = {size: kind(size) for size in SIZES}


def run(values):
    size_of_peak, rounds, percent = values["bytes"], values["rounds"], values["survivors"]
    threads, salt = values["threads"], mix(values["seed"])
    collect = gc.collect if values["probes"] else lambda: None
    # Of each round whose survivors are there, each thread's list of them.
    kept = deque()
    operations = objects = payload_bytes = 0

    def allocate(number_of_bytes, size):
        """A round's objects: for each thread a table of its part, or None if that is empty."""
        nonlocal operations, objects, payload_bytes
        first, count, make = operations, number_of_bytes // size, KINDS[size]

        def part(thread):
            begin, end = share(count, threads, thread)
            return [make(number) for number in range(first + begin, first + end)] or None

        operations += count
        objects += count + min(threads, count)
        # With the table's entry, which is as large as the header that is no payload.
        payload_bytes += count * (size - HEADER + 8)
        return on_threads(threads, part)

    def keep_some(table):
        """Ties a thread's survivors to a list."""
        survivors = None
        for item in table or ():
            if mix((salt + item.number) & WORD) % 100 < percent:
                item.next = survivors
                survivors = item
        return survivors

    def walk(item):
        """A digest of the words of a list."""
        total = 0
        while item is not None:
            total += mix(item.number)
            item = item.next
        return total

    peak_resident = digest = 0
    for number in range(rounds):
        tables = allocate(size_of_peak, SIZES[number % len(SIZES)])
        collect()
        peak_resident = max(peak_resident, resident_bytes() or 0)
        gone = kept.popleft() if number >= STAY else [None] * threads
        parts = on_threads(threads, lambda thread: (walk(gone[thread]), keep_some(tables[thread])))
        digest += sum(part for part, _ in parts)
        kept.append([survivors for _, survivors in parts])
        tables = gone = parts = None
        collect()

    total = digest + sum(on_threads(threads, lambda thread: sum(walk(lists[thread]) for lists in kept)))
    kept.clear()
    for _ in range(rounds):
        allocate(size_of_peak // CALM, SIZES[0])
        collect()
    calm_resident = resident_bytes()
    observations = {}
    if calm_resident is not None:
        observations = {"peak_resident_bytes": peak_resident, "calm_resident_bytes": calm_resident}
    return Outcome(mix(total & WORD), operations, objects, payload_bytes, observations)


execute({"bytes": 2000000, "rounds": 120, "survivors": 5, "probes": 0}, run)
