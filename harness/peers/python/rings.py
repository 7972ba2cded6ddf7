"""The workload rings in Python: the same rings as in harness/src/workload/rings.rs, split over threads in the same way.

    python3 rings.py ring=10 held=100000 dropped=900000 cyclic=100 threads=1
    harness run rings --peer cpython
"""

from peer import WORD, Outcome, execute, mix, on_threads, share


class Node:
    __slots__ = ("next", "word")

    def __init__(self, next, word):
        self.next = next
        self.word = word


def build(first, length, closed):
    """A ring, or a chain; the last one built is its head."""
    tail = head = Node(None, first)
    for position in range(1, length):
        head = Node(head, first + position)
    if closed:
        tail.next = head
    return head


def walk(head, length, closed):
    """A digest of a ring's words, and of whether it comes back to where it began."""
    total = 0
    node = head
    for _ in range(length):
        total += mix(node.word)
        node = node.next
    return total + ((node is head) == closed)


def run(values):
    ring, held, dropped = values["ring"], values["held"], values["dropped"]
    cyclic, threads = values["cyclic"], values["threads"]

    def is_closed(index):
        """Bresenham's way to spread so many per cent evenly."""
        return (index + 1) * cyclic // 100 != index * cyclic // 100

    def part(thread):
        begin, end = share(held, threads, thread)
        table = [build(index * ring, ring, is_closed(index)) for index in range(begin, end)]
        total = 0
        first, last = share(dropped, threads, thread)
        for index in range(held + first, held + last):
            head = build(index * ring, ring, is_closed(index))
            total += mix(head.word)
            head = None
        for index, head in zip(range(begin, end), table):
            total += walk(head, ring, is_closed(index))
        return total

    checksum = sum(on_threads(threads, part)) & WORD
    operations = (held + dropped) * ring
    return Outcome(checksum, operations, operations + threads, 16 * operations + 8 * held)


execute({"ring": 10, "held": 100000, "dropped": 900000, "cyclic": 100}, run)
