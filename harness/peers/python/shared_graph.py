"""The workload shared-graph in Python: the same walks through the same graph as in harness/src/workload/shared_graph.rs, drawn from the same
generators, split over threads in the same way. Most of its time goes into drawing random numbers in an interpreted language.

    python3 shared_graph.py nodes=100000 steps=1000000 threads=1
    harness run shared-graph:steps=1000000 --peer cpython

A local of the interpreter owns a count of what it names (recent versions leave some out where they can prove the object alive), so that `rooted`
is read and changes nothing.
"""

from operator import attrgetter

from peer import WORD, Outcome, execute, generator, mix, on_threads, share

WALK = 4096


class Node:
    __slots__ = ("first", "second", "third", "fourth", "word")

    def __init__(self, word):
        self.first = None
        self.second = None
        self.third = None
        self.fourth = None
        self.word = word


# What leads along the edge of a number.
FOLLOW = tuple(attrgetter(name) for name in ("first", "second", "third", "fourth"))


def build(nodes, seed):
    """Makes the nodes, then their edges."""
    table = [Node(index) for index in range(nodes)]
    # Streams of the walks count from 0; this one is none of them.
    draws = generator(seed, WORD)
    for node in table:
        # The upper half of the 128-bit product.
        node.first = table[(next(draws) * nodes) >> 64]
        node.second = table[(next(draws) * nodes) >> 64]
        node.third = table[(next(draws) * nodes) >> 64]
        node.fourth = table[(next(draws) * nodes) >> 64]
    return table


def walk(table, steps, draws):
    """One walk; a digest of the words seen."""
    node = table[(next(draws) * len(table)) >> 64]
    total = 0
    for _ in range(steps):
        edge = next(draws) & 3
        total += mix(node.word)
        node = FOLLOW[edge](node)
    return total


def run(values):
    nodes, steps = values["nodes"], values["steps"]
    threads, seed = values["threads"], values["seed"]

    def build_and_walk(_):
        table = build(nodes, seed)

        def part(thread):
            walks = range(*share(-(-steps // WALK), threads, thread))
            return sum(walk(table, min(WALK, steps - number * WALK), generator(seed, number)) for number in walks)

        return sum(on_threads(threads, part))

    (checksum,) = on_threads(1, build_and_walk)
    return Outcome(checksum & WORD, steps, nodes + 1, 48 * nodes)


execute({"nodes": 100000, "steps": 10000000, "rooted": 1}, run)
