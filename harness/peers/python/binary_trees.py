"""The workload binary-trees in Python: the same trees in the same order as in harness/src/workload/binary_trees.rs, split over threads in the
same way.

    python3 binary_trees.py depth=16 threads=1
    harness run binary-trees:depth=16 --peer cpython
"""

from peer import Outcome, execute, mix, on_threads, share

MIN_DEPTH = 4


class Node:
    __slots__ = ("left", "right")

    def __init__(self, left, right):
        self.left = left
        self.right = right


def build(depth):
    if depth == 0:
        return Node(None, None)
    return Node(build(depth - 1), build(depth - 1))


def count(tree):
    nodes = 1
    if tree.left is not None:
        nodes += count(tree.left)
    if tree.right is not None:
        nodes += count(tree.right)
    return nodes


def run(values):
    depth, threads = values["depth"], values["threads"]
    depths = range(MIN_DEPTH, depth + 1, 2)

    def short_lived(thread):
        counts = []
        for d in depths:
            begin, end = share(1 << (depth - d + MIN_DEPTH), threads, thread)
            counts.append(sum(count(build(d)) for _ in range(begin, end)))
        return counts

    def long_lived(_):
        tree = build(depth)
        counts = on_threads(threads, short_lived)
        return count(tree), [sum(of_depth) for of_depth in zip(*counts)]

    (first,) = on_threads(1, lambda _: count(build(depth + 1)))
    ((survivors, counts),) = on_threads(1, long_lived)
    checksum = mix(mix(first) ^ survivors)
    for nodes in counts:
        checksum = mix(checksum ^ nodes)
    operations = first + survivors + sum(counts)
    return Outcome(checksum, operations, operations, 16 * operations)


execute({"depth": 16}, run)
