"""The workload rewire in Python: the same references moved about as in harness/src/workload/rewire.rs, drawn from the same generators, split over
threads in the same way. Most of its time goes into drawing random numbers in an interpreted language.

    python3 rewire.py nodes=10000 threads=1
    harness run rewire:nodes=10000 --peer cpython
"""

from peer import WORD, Outcome, execute, generator, mix, on_threads, share

BLOCK = 4096
TURNS = 100


class Node:
    __slots__ = ("a", "b", "word")

    def __init__(self, word):
        self.a = None
        self.b = None
        self.word = word


def build(nodes, seed):
    """Makes the nodes, then points each one's field a at a random one."""
    table = [Node(index) for index in range(nodes)]
    # Streams of the operations count from 0; this one is none of them.
    draws = generator(seed, WORD)
    for node in table:
        node.a = table[(next(draws) * nodes) >> 64]
    return table


def rewire(table, count, draws):
    """One block of operations; a digest of the words seen."""
    nodes = len(table)
    total = 0
    for _ in range(count):
        # The upper half of the 128-bit product.
        i = (next(draws) * nodes) >> 64
        j = (next(draws) * nodes) >> 64
        moved = table[i].a
        table[j].b = moved
        total += mix(moved.word)
    return total


def run(values):
    nodes, threads, seed = values["nodes"], values["threads"], values["seed"]
    operations = TURNS * nodes

    def build_and_rewire(_):
        table = build(nodes, seed)

        def part(thread):
            begin, end = share(-(-operations // BLOCK), threads, thread)
            blocks = range(begin, end)
            return sum(
                rewire(table, min(BLOCK, operations - block * BLOCK), generator(seed, block)) for block in blocks
            )

        return sum(on_threads(threads, part))

    (checksum,) = on_threads(1, build_and_rewire)
    return Outcome(checksum & WORD, operations, nodes + 1, 32 * nodes)


execute({"nodes": 10000}, run)
