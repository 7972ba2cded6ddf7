"""The workload quads in Python: the same trees in the same order as in harness/src/workload/quads.rs, split over threads in the same way.

    python3 quads.py depth=9 rounds=40 share=13 threads=1
    harness run quads --peer cpython
"""

from peer import WORD, Outcome, execute, mix, on_threads, share

SHORT_LIVED = 3


class Node:
    __slots__ = ("north_west", "north_east", "south_west", "south_east", "word")

    def __init__(self, word, north_west=None, north_east=None, south_west=None, south_east=None):
        self.north_west = north_west
        self.north_east = north_east
        self.south_west = south_west
        self.south_east = south_east
        self.word = word


def build(depth, label):
    """From the leaves up."""
    if depth == 0:
        return Node(label)
    first = label * 5 & WORD
    return Node(
        label,
        build(depth - 1, first),
        build(depth - 1, (first + 1) & WORD),
        build(depth - 1, (first + 2) & WORD),
        build(depth - 1, (first + 3) & WORD),
    )


def digest(node):
    """Of the words of a tree."""
    total = mix(node.word)
    if node.north_west is not None:
        total += digest(node.north_west) + digest(node.north_east)
        total += digest(node.south_west) + digest(node.south_east)
    return total


def nodes_of(depth):
    """Nodes of a full tree."""
    return (4 ** (depth + 1) - 1) // 3


def run(values):
    depth, rounds, threads = values["depth"], values["rounds"], values["threads"]
    trees = nodes_of(depth) * values["share"] // 100 // nodes_of(SHORT_LIVED)

    def short_lived(thread):
        begin, end = share(trees, threads, thread)
        total = 0
        for number in range(rounds):
            salt = mix(number)
            table = [build(SHORT_LIVED, salt ^ tree) for tree in range(begin, end)]
            total += sum(map(digest, table))
            # They die together, and not when the next round replaces them.
            table = None
        return total

    def long_lived(_):
        resident = build(depth, 0)
        return sum(on_threads(threads, short_lived)) + digest(resident)

    (total,) = on_threads(1, long_lived)
    nodes = nodes_of(depth) + rounds * trees * nodes_of(SHORT_LIVED)
    return Outcome(mix(total & WORD), nodes, nodes + rounds * threads, 40 * nodes + 8 * rounds * trees)


execute({"depth": 9, "rounds": 40, "share": 13}, run)
