"""The program reference-changes in Python: the same operations as in harness/src/experiment/count_traffic.rs, on one thread.

    python3 reference_changes.py nodes=10000 operations=1500000 change=1
    harness claims count-traffic --peer cpython
"""

from peer import WORD, Outcome, execute, mix, on_threads

STRIDE = 7919


class Node:
    __slots__ = ("a", "b", "word")

    def __init__(self, word):
        self.a = None
        self.b = None
        self.word = word


def run(values):
    nodes, operations, change = values["nodes"], values["operations"], values["change"] == 1

    def work(_):
        table = [Node(number) for number in range(nodes)]
        for number in range(nodes):
            table[number].a = table[number * STRIDE % nodes]
        state = mix(values["seed"]) & 0xFFFFFFFF
        total = 0
        # Two loops, so that neither pays for the question which of them it is.
        if change:
            for _ in range(operations):
                state = (state * 1664525 + 1013904223) & 0xFFFFFFFF
                moved = table[(state * nodes) >> 32].a
                state = (state * 1664525 + 1013904223) & 0xFFFFFFFF
                to = table[(state * nodes) >> 32]
                to.b = moved
                total += moved.word ^ to.word
        else:
            for _ in range(operations):
                state = (state * 1664525 + 1013904223) & 0xFFFFFFFF
                moved = table[(state * nodes) >> 32].a
                state = (state * 1664525 + 1013904223) & 0xFFFFFFFF
                to = table[(state * nodes) >> 32]
                total += moved.word ^ to.word
        return total

    checksum = mix(sum(on_threads(1, work)) & WORD)
    return Outcome(checksum, operations, nodes + 1, 32 * nodes)


execute({"nodes": 10000, "operations": 1500000, "change": 1}, run)
