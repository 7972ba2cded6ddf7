"""The workload gcbench in Python: the same trees and the same array as in harness/src/workload/gcbench.rs, split over threads in the same way.

    python3 gcbench.py depth=16 array=500000 threads=1
    harness run gcbench --peer cpython
"""

import array
import math

from peer import WORD, Outcome, bits_of, execute, mix, on_threads, share

MIN_DEPTH = 4


class Node:
    """The word stands for the original's two 32-bit integers."""

    __slots__ = ("left", "right", "word")

    def __init__(self, left=None, right=None):
        self.left = left
        self.right = right
        self.word = 0


def build_up(depth):
    """From the leaves up."""
    if depth == 0:
        return Node()
    return Node(build_up(depth - 1), build_up(depth - 1))


def populate(node, depth):
    """From the root down: both children first, then each one's own."""
    if depth == 0:
        return
    node.left = Node()
    node.right = Node()
    populate(node.left, depth - 1)
    populate(node.right, depth - 1)


def count(tree):
    nodes = 1
    if tree.left is not None:
        nodes += count(tree.left)
    if tree.right is not None:
        nodes += count(tree.right)
    return nodes


def edges(tree):
    """The lengths of a tree's left and right edge, in nodes."""
    length = 0
    node = tree
    while node is not None:
        length += 1
        node = node.left
    node = tree
    while node is not None:
        length += 1
        node = node.right
    return length


def nodes_of(depth):
    return (2 << depth) - 1


def trees_of(depth, stretch_depth):
    """Trees of a depth in each half."""
    return 2 * nodes_of(stretch_depth) // nodes_of(depth)


def run(values):
    depth, length, threads = values["depth"], values["array"], values["threads"]
    stretch_depth = depth + 2
    depths = range(MIN_DEPTH, depth + 1, 2)

    def short_lived(thread):
        total = 0
        for d in depths:
            begin, end = share(trees_of(d, stretch_depth), threads, thread)
            for _ in range(begin, end):
                root = Node()
                populate(root, d)
                total += edges(root)
                root = None
            for _ in range(begin, end):
                total += edges(build_up(d))
        return total

    def long_lived(_):
        if edges(build_up(stretch_depth)) != 2 * (stretch_depth + 1):
            raise AssertionError("a stretch tree with wrong edges")
        tree = Node()
        populate(tree, depth)
        numbers = array.array("d", bytes(8 * length))
        for index in range(length // 2):
            numbers[index] = 1.0 / index if index else math.inf
        total = sum(on_threads(threads, short_lived))
        digest = sum(mix(bits) for (bits,) in bits_of(numbers)) & WORD
        return count(tree), digest, total

    ((survivors, numbers, edge_lengths),) = on_threads(1, long_lived)
    nodes = nodes_of(stretch_depth) + survivors
    nodes += sum(2 * trees_of(d, stretch_depth) * nodes_of(d) for d in depths)
    checksum = mix(mix(survivors ^ mix(numbers)) ^ edge_lengths)
    return Outcome(checksum, nodes, nodes + 1, 24 * nodes + 8 * length)


execute({"depth": 16, "array": 500000}, run)
