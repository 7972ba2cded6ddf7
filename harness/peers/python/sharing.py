"""The program sharing in Python: the same operations as in harness/claims/src/experiment/sharing.rs, split over the threads.

    python3 sharing.py shared=2 operations=400000 threads=2 turns=4
    harness claims sharing --peer cpython,cpython-free-threaded

What is read is put in a local in any case: `unrooted` is taken, and makes no difference.
"""

import queue
import threading

from peer import WORD, Outcome, execute, mix, on_threads, share

STRIDE = 7919
CHAIN = 64
ROOM = 16
AHEAD = 8


class Node:
    __slots__ = ("a", "b", "word")

    def __init__(self, a, b, word):
        self.a = a
        self.b = b
        self.word = word


def build(nodes):
    table = [Node(None, None, 1) for _ in range(nodes)]
    for number in range(nodes):
        table[number].a = table[number * STRIDE % nodes]
    return table


def read(table, nodes, operations, state):
    total = 0
    for _ in range(operations):
        state = (state * 1664525 + 1013904223) & 0xFFFFFFFF
        at = table[(state * nodes) >> 32]
        next = at.a
        total += at.word + next.word
    return total


def replace(table, nodes, operations, state):
    total = 0
    for _ in range(operations):
        made = Node(None, None, 1)
        state = (state * 1664525 + 1013904223) & 0xFFFFFFFF
        old = (state * nodes) >> 32
        state = (state * 1664525 + 1013904223) & 0xFFFFFFFF
        table[old] = made
        at = table[(state * nodes) >> 32]
        total += at.word
    return total


def visit(values):
    nodes, operations, threads, shared = values["nodes"], values["operations"], values["threads"], values["shared"]
    table_of_all = build(nodes)
    all_there = threading.Barrier(threads)

    def work(number):
        table = table_of_all if shared else build(nodes)
        all_there.wait()
        first, end = share(operations, threads, number)
        part = replace if shared == 4 else read
        return part(table, 1 if shared == 2 else nodes, end - first, mix((values["seed"] + number) & WORD) & 0xFFFFFFFF)

    total = sum(on_threads(threads, work))
    tables = 1 if shared else 1 + threads
    made = tables * nodes + (operations if shared == 4 else 0)
    return total, tables + made, 8 * tables * nodes + 24 * made


def hand_over(values):
    threads = values["threads"]
    chains = -(-values["operations"] // CHAIN)
    queues = [queue.Queue(ROOM) for _ in range(threads)]

    def put(to):
        chain = None
        for _ in range(CHAIN):
            chain = Node(chain, None, 1)
        to.put(chain)

    def take(source):
        at = source.get()
        total = 0
        while at is not None:
            total += at.word
            at = at.a
        return total

    def work(number):
        before = (number + threads - 1) % threads
        parts = [share(chains, threads, of) for of in (number, before)]
        mine, theirs = [end - first for first, end in parts]
        total = 0
        for step in range(max(mine, theirs) + AHEAD):
            if step < mine:
                put(queues[(number + 1) % threads])
            if AHEAD <= step < theirs + AHEAD:
                total += take(queues[number])
        return total

    total = sum(on_threads(threads, work))
    made = CHAIN * chains
    return total, made, 24 * made


def run(values):
    operations = values["operations"]
    total, objects, payload_bytes = (hand_over if values["shared"] == 3 else visit)(values)
    return Outcome(mix((total + operations) & WORD), operations, objects, payload_bytes)


execute({"shared": 0, "unrooted": 0, "operations": 400000, "nodes": 1000}, run)
