"""The program replacement in Python: the same replacements as in harness/src/experiment/replacement.rs, split over threads in the same way.

    python3 replacement.py live=100000 replaced=400
    harness claims footprint --peer cpython

A node's words beyond the first are bytes of their own, and a node can be referred to weakly: some 100 bytes and the words, and 8 in the
table. The live set's size is by how much the process grew while the table was filled for the first time. The deaths that are watched are reported by
callbacks of weak references.
"""

import gc
import time
import weakref

from peer import WORD, Outcome, execute, mix, on_threads, peak_resident_bytes, share


class Node:
    __slots__ = ("other", "word", "more", "__weakref__")

    def __init__(self, word, more):
        self.other = None
        self.word = word
        self.more = bytes(more)


class Death(weakref.ref):
    """A weak reference that knows when its object was unreachable, and when it was found dead."""

    __slots__ = ("unreachable", "found")

    def __init__(self, node, callback):
        super().__init__(node, callback)
        self.found = None


def found(death):
    death.found = time.monotonic_ns()


BEFORE = peak_resident_bytes()
# The most that the process has ever taken grows no more when the table is filled again.
live_bytes = None


def run(values):
    global live_bytes
    threads, live, cyclic = values["threads"], values["live"], values["cyclic"] == 1
    replaced = live * values["replaced"] // 100
    after = live * values["after"] // 100
    more = 8 * (values["words"] - 1)
    every = max(replaced // values["watched"], 1) if values["watched"] else 0

    def make(number):
        node = Node(number, more)
        if cyclic:
            node.other = node
        return node

    def fill(thread):
        return [make(number) for number in range(*share(live, threads, thread))]

    def replace(thread):
        table = tables[thread]
        slots = len(table)
        if not slots:
            return 0, []
        state = mix((values["seed"] + thread) & WORD) & 0xFFFFFFFF
        total = 0
        deaths = []
        begin, end = share(replaced, threads, thread)
        for number in range(begin, end):
            node = make(live + number)
            state = (state * 1664525 + 1013904223) & 0xFFFFFFFF
            slot = (state * slots) >> 32
            previous = table[slot]
            total += previous.word
            if every and number % every == every - 1:
                death = Death(previous, found)
                deaths.append(death)
                table[slot] = node
                # From here on nothing refers to it but this variable.
                death.unreachable = time.monotonic_ns()
                previous = None
            else:
                table[slot] = node
        node = previous = None
        if every:
            gc.collect()
        return total + sum(node.word for node in table), deaths

    def go_on(_):
        total = 0
        for number in range(live + replaced, live + replaced + after):
            total += make(number).word
        return total

    tables = on_threads(threads, fill)
    if live_bytes is None:
        live_bytes = peak_resident_bytes() - BEFORE
    parts = on_threads(threads, replace)
    tables = None
    more_seen = on_threads(1, go_on)[0]
    deaths = [death for _, deaths in parts for death in deaths]
    delays = [death.found - death.unreachable for death in deaths if death.found is not None]
    observations = {"live_count": live, "live_bytes": live_bytes}
    if deaths:
        observations["deaths_not_found_count"] = len(deaths) - len(delays)
    made = live + replaced + after
    checksum = mix((more_seen + sum(total for total, _ in parts)) & WORD)
    tables_made = sum(1 for thread in range(threads) if len(range(*share(live, threads, thread))))
    payload = (16 + more) * made + 8 * live
    return Outcome(checksum, made, made + tables_made, payload, observations, delays)


execute(
    {"live": 100000, "replaced": 400, "words": 1, "multiple": 4, "spare": 0, "cyclic": 0, "after": 0, "watched": 0},
    run,
)
