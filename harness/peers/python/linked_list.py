"""The workload list in Python: the same lists as in harness/src/workload/list.rs, split over threads in the same way.

    python3 linked_list.py nodes=2000000 rounds=5 keep=0 threads=1
    harness run list --peer cpython
"""

from peer import WORD, Outcome, execute, mix, on_threads, share


class Node:
    __slots__ = ("next", "word")

    def __init__(self, next, word):
        self.next = next
        self.word = word


def walk(node):
    """A digest of the list's words."""
    total = 0
    while node is not None:
        total += mix(node.word)
        node = node.next
    return total


def run(values):
    nodes, rounds, threads = values["nodes"], values["rounds"], values["threads"]
    keep = values["keep"] == 1

    def part(thread):
        begin, end = share(nodes, threads, thread)
        kept = [None] * rounds
        total = 0
        for turn in range(rounds):
            front = None
            for value in range(begin, end):
                front = Node(front, value + turn * nodes)
            total += walk(front)
            if keep:
                kept[turn] = front
            front = None
        return total

    checksum = sum(on_threads(threads, part)) & WORD
    return Outcome(
        checksum,
        nodes * rounds,
        nodes * rounds + threads,
        16 * nodes * rounds + 8 * rounds * threads,
    )


execute({"nodes": 2000000, "rounds": 5, "keep": 0}, run)
