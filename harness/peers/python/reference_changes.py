"""The program reference-changes in Python: the same operations as in harness/src/experiment/count_traffic.rs, on one thread.

    python3 reference_changes.py nodes=5000 rounds=51
    harness claims count-traffic --peer cpython

What is read is put in a variable in any case. So the stretch that is about variables is one more of reads, and not timed.
"""

import statistics
import time

from peer import WORD, Outcome, execute, mix, on_threads

STRIDE = 7919
STRETCH = 10000


class Node:
    __slots__ = ("a", "b", "word")

    def __init__(self, word):
        self.a = None
        self.b = None
        self.word = word


def read(table, nodes, state):
    total = 0
    for _ in range(STRETCH):
        state = (state * 1664525 + 1013904223) & 0xFFFFFFFF
        moved = table[(state * nodes) >> 32].a
        state = (state * 1664525 + 1013904223) & 0xFFFFFFFF
        to = table[(state * nodes) >> 32]
        total += moved.word ^ to.word
    return total, state


def store(table, nodes, state):
    total = 0
    for _ in range(STRETCH):
        state = (state * 1664525 + 1013904223) & 0xFFFFFFFF
        moved = table[(state * nodes) >> 32].a
        state = (state * 1664525 + 1013904223) & 0xFFFFFFFF
        to = table[(state * nodes) >> 32]
        total += moved.word ^ to.word
        to.b = moved
    return total, state


def run(values):
    nodes, rounds = values["nodes"], values["rounds"]

    def work(_):
        table = [Node(number) for number in range(nodes)]
        for number in range(nodes):
            table[number].a = table[number * STRIDE % nodes]
        state = mix(values["seed"]) & 0xFFFFFFFF
        total = 0
        times = {"read_ns": [], "field_ns": []}
        for _ in range(rounds):
            for stretch, name in ((read, "read_ns"), (read, None), (store, "field_ns")):
                start = time.monotonic_ns()
                seen, state = stretch(table, nodes, state)
                if name:
                    times[name].append(time.monotonic_ns() - start)
                total += seen
        return total, {name: statistics.median_high(list) for name, list in times.items()}

    total, observations = on_threads(1, work)[0]
    return Outcome(mix(total & WORD), 3 * rounds * STRETCH, nodes + 1, 32 * nodes, observations)


execute({"nodes": 5000, "rounds": 51}, run)
