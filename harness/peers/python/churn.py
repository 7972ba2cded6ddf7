"""The workload churn in Python: the same replacements as in harness/src/workload/churn.rs, drawn from the same generators, a table for
each thread. Most of its time goes into drawing random numbers in an interpreted language.

    python3 churn.py nodes=100000 threads=1
    harness run churn --peer cpython
"""

from peer import WORD, Outcome, execute, generator, mix, on_threads, share

TURNS = 20


class Node:
    __slots__ = ("a", "b", "word")

    def __init__(self, a, b, word):
        self.a = a
        self.b = b
        self.word = word


def run(values):
    nodes, threads, seed = values["nodes"], values["threads"], values["seed"]

    def part(thread):
        begin, end = share(nodes, threads, thread)
        length = end - begin
        if length == 0:
            return 0
        draws = generator(seed, thread)
        table = [Node(None, None, value) for value in range(begin, end)]
        total = 0
        for turn in range(TURNS * length):
            # The upper half of the 128-bit product.
            i = (next(draws) * length) >> 64
            j = (next(draws) * length) >> 64
            k = (next(draws) * length) >> 64
            clears = next(draws) & 3 != 0
            left, right = table[j], table[k]
            total += mix(left.word) + mix(right.word)
            replacement = Node(left, right, nodes + turn)
            old = table[i]
            if clears:
                old.a = None
                old.b = None
            else:
                old.a = replacement
                replacement.b = old
            table[i] = replacement
        return total & WORD

    checksum = 0
    for total in on_threads(threads, part):
        checksum = mix(checksum ^ total)
    made = nodes + TURNS * nodes
    return Outcome(checksum, TURNS * nodes, made + min(threads, nodes), 24 * made + 8 * nodes)


execute({"nodes": 100000}, run)
