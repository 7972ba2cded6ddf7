"""The program free-threading in Python: the same operations as in harness/claims/src/experiment/free_threading.rs, on one thread.

    python3 free_threading.py nodes=2000 rounds=51
    harness claims free-threading --peer cpython,cpython-free-threaded

What is read is put in a local in any case. So the stretch that puts nothing anywhere is one more of reads into locals, and not timed.
"""

import statistics
import time

from peer import WORD, Outcome, execute, mix, on_threads

STRIDE = 7919
STRETCH = 10000


class Node:
    __slots__ = ("a", "b", "word")

    def __init__(self, a, b, word):
        self.a = a
        self.b = b
        self.word = word


def allocate(table, nodes, state):
    for number in range(STRETCH):
        node = Node(None, None, number)
    return 0, state


def read(table, nodes, state):
    total = 0
    for _ in range(STRETCH):
        state = (state * 1664525 + 1013904223) & 0xFFFFFFFF
        at = table[(state * nodes) >> 32]
        next = at.a
        total += at.word ^ next.word
    return total, state


def store(table, nodes, state):
    for _ in range(STRETCH):
        state = (state * 1664525 + 1013904223) & 0xFFFFFFFF
        source = (state * nodes) >> 32
        state = (state * 1664525 + 1013904223) & 0xFFFFFFFF
        table[(state * nodes) >> 32].b = table[source]
    return 0, state


def run(values):
    nodes, rounds = values["nodes"], values["rounds"]

    def work(_):
        table = [Node(None, None, number) for number in range(nodes)]
        for number in range(nodes):
            table[number].a = table[number * STRIDE % nodes]
        state = mix(values["seed"]) & 0xFFFFFFFF
        total = 0
        times = {"allocated_ns": [], "local_ns": [], "stored_ns": []}
        for _ in range(rounds):
            for stretch, name in ((allocate, "allocated_ns"), (read, "local_ns"), (read, None), (store, "stored_ns")):
                start = time.monotonic_ns()
                seen, state = stretch(table, nodes, state)
                if name:
                    times[name].append(time.monotonic_ns() - start)
                total += seen
        return total, {name: statistics.median_high(list) for name, list in times.items()}

    total, observations = on_threads(1, work)[0]
    made = nodes + rounds * STRETCH
    return Outcome(mix(total & WORD), 4 * rounds * STRETCH, 1 + made, 8 * nodes + 24 * made, observations)


execute({"nodes": 2000, "rounds": 51}, run)
