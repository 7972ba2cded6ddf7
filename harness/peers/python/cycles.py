"""The program cycles in Python: the same pairs as in harness/src/experiment/cycles.rs, split over threads in the same way.

    python3 cycles.py pairs=200000 alone=1
    harness claims cycles --peer cpython

With alone=1 the cycle collector is switched off while the pairs are made and looked for. An object's words beyond the first are bytes of their own.
"""

import gc
import weakref

from peer import WORD, Outcome, execute, mix, on_threads, share

# Words of an object.
WORDS = 15


class Node:
    __slots__ = ("other", "word", "more", "__weakref__")

    def __init__(self):
        self.other = None
        self.word = 0
        self.more = bytes(8 * (WORDS - 1))


def run(values):
    threads, pairs = values["threads"], values["pairs"]
    every = max(pairs // values["watched"], 1)

    def part(thread):
        total = 0
        watched = []
        begin, end = share(pairs, threads, thread)
        for number in range(begin, end):
            one = Node()
            other = Node()
            one.word = number
            one.other = other
            other.other = one
            total += other.other.word
            if number % every == every - 1:
                watched.append(weakref.ref(one))
        return total, watched

    def held():
        return sum(1 for _, watched in parts for node in watched if node() is not None)

    alone = values["alone"] == 1
    if alone:
        gc.disable()
    parts = on_threads(threads, part)
    observations = {"watched_count": sum(len(watched) for _, watched in parts)}
    if alone:
        observations["held_by_counts_count"] = held()
        gc.enable()
    else:
        observations["held_before_count"] = held()
        gc.collect()
        observations["held_after_count"] = held()
    checksum = mix(sum(total for total, _ in parts) & WORD)
    return Outcome(checksum, pairs, 2 * pairs, 2 * pairs * (8 + 8 * WORDS), observations)


execute({"pairs": 200000, "watched": 1000, "room": 25, "alone": 0}, run)
