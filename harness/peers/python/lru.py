"""The workload lru in Python: the same lookups in the same caches as in harness/src/workload/lru.rs, drawn from the same generators, split over
threads in the same way. Much of its time goes into drawing random numbers in an interpreted language.

    python3 lru.py entries=50000 threads=1
    harness run lru --peer cpython

A local of the interpreter owns a count of what it names (recent versions leave some out where they can prove the object alive), so that `rooted`
is read and changes nothing. A value is an array of 64-bit words, which lie apart from the array's head.
"""

from array import array

from peer import WORD, Outcome, execute, generator, mix, on_threads, share

SHARDS = 8
KEYS = 4
TURNS = 20
SMALLEST_WORDS = 4
DOUBLINGS = 7
ONE_WORD = array("Q", [0])


def power(base):
    """base^100, in the order of harness/src/workload/zipf.rs: the operator ** would round as the mathematical library does."""
    to_2 = base * base
    to_4 = to_2 * to_2
    to_8 = to_4 * to_4
    to_16 = to_8 * to_8
    to_32 = to_16 * to_16
    to_64 = to_32 * to_32
    return to_4 * to_32 * to_64


def root_from(above, x):
    """The hundredth root of x, by Newton's method."""
    root = above
    while True:
        lower = root - root * (1.0 - x / power(root)) / 100.0
        if lower >= root:
            return root
        root = lower


def weights(n):
    """The sum of i^-0.99 for i from 1 to n."""
    exact = min(n, 1000)
    head = last = 1.0
    for i in range(2, exact + 1):
        last = root_from(last * (1.0 + 1.0 / (100.0 * (i - 1.0))), i)
        head += last / i
    root_of_n = root_from(2.0, n)
    integral = 100.0 * (root_of_n - last)
    return head + integral + (root_of_n / n - last / exact) / 2.0


def zipf(n, draws):
    """Numbers below n, the i-th with probability proportional to i^-0.99; see harness/src/workload/zipf.rs."""
    total, first_two = weights(n), weights(2)
    # With two numbers or fewer it is not used, and might not be a number.
    eta = (1.0 - root_from(2.0, 2) / root_from(2.0, n)) / (1.0 - first_two / total) if n > 2 else 0.0
    for draw in draws:
        uniform = (draw >> 11) / 9007199254740992.0
        weight = uniform * total
        if weight < 1.0:
            yield 0
        elif weight < first_two:
            yield 1
        else:
            yield int(min(n * power(eta * uniform - eta + 1.0), n - 1.0))


class Entry:
    __slots__ = ("next_in_chain", "newer", "older", "value", "key")

    def __init__(self, next_in_chain, value, key):
        self.next_in_chain = next_in_chain
        self.newer = None
        self.older = None
        self.value = value
        self.key = key


class Ends:
    """Of the list by last use."""

    __slots__ = ("newest", "oldest")

    def __init__(self):
        self.newest = None
        self.oldest = None


class Cache:
    """One of the caches, and what a thread knows of it, which is not counted: only the table and the ends of the list are."""

    def __init__(self, entries, seed, number):
        begin, end = share(entries, SHARDS, number)
        self.capacity = end - begin
        self.turns = TURNS * self.capacity
        self.keys = zipf(max(KEYS * self.capacity, 1), generator(seed, number))
        self.table = [None] * (1 << max(self.capacity - 1, 0).bit_length())
        self.ends = Ends()
        self.length = 0
        self.misses = 0
        self.words_of_values = 0
        self.digest = 0

    def look_up(self, turn):
        key = next(self.keys)
        entry = self.table[self.bucket(key)]
        while entry is not None and entry.key != key:
            entry = entry.next_in_chain
        if entry is not None:
            self.hit(entry)
            return
        if self.length == self.capacity:
            self.evict()
            self.length -= 1
        self.insert(key, turn)
        self.length += 1

    def bucket(self, key):
        # The number of buckets is a power of two.
        return mix(key) & (len(self.table) - 1)

    def hit(self, entry):
        """Moves the entry to the front, and reads its value."""
        if entry is not self.ends.newest:
            self.unlink(entry)
            self.push(entry)
        value = entry.value
        self.digest += mix(value[0] ^ mix(value[-1]))

    def insert(self, key, turn):
        # The lowest one bit decides: each size is half as frequent as the next smaller one.
        draw = mix(~key & WORD) | 1 << DOUBLINGS
        words = SMALLEST_WORDS * (draw & -draw)
        value = ONE_WORD * words
        value[0] = key
        value[-1] = turn
        bucket = self.bucket(key)
        entry = Entry(self.table[bucket], value, key)
        self.table[bucket] = entry
        self.push(entry)
        self.misses += 1
        self.words_of_values += words

    def evict(self):
        """Takes the entry out that was used least recently."""
        oldest = self.ends.oldest
        self.unlink(oldest)
        bucket = self.bucket(oldest.key)
        entry = self.table[bucket]
        if entry is oldest:
            self.table[bucket] = oldest.next_in_chain
            return
        while entry.next_in_chain is not oldest:
            entry = entry.next_in_chain
        entry.next_in_chain = oldest.next_in_chain

    def unlink(self, entry):
        newer, older = entry.newer, entry.older
        if newer is None:
            self.ends.newest = older
        else:
            newer.older = older
        if older is None:
            self.ends.oldest = newer
        else:
            older.newer = newer
        entry.newer = None
        entry.older = None

    def push(self, entry):
        """Puts an entry that is in no list in front."""
        second = self.ends.newest
        entry.older = second
        if second is None:
            self.ends.oldest = entry
        else:
            second.newer = entry
        self.ends.newest = entry


def run(values):
    entries, threads, seed = values["entries"], values["threads"], values["seed"]

    def part(thread):
        caches = [Cache(entries, seed, number) for number in range(*share(SHARDS, threads, thread))]
        caches = [cache for cache in caches if cache.capacity > 0]
        for turn in range(max((cache.turns for cache in caches), default=0)):
            for cache in caches:
                if turn < cache.turns:
                    cache.look_up(turn)
        digest = sum(mix(cache.digest & WORD) for cache in caches)
        misses = sum(cache.misses for cache in caches)
        # A reference to each table and each pair of ends, the tables, the ends, and what the misses made.
        fields = sum(2 + len(cache.table) + 2 + 5 * cache.misses + cache.words_of_values for cache in caches)
        return digest, 1 + 2 * len(caches) + 2 * misses, 8 * fields

    digests, objects, payload_bytes = zip(*on_threads(threads, part))
    return Outcome(sum(digests) & WORD, TURNS * entries, sum(objects), sum(payload_bytes))


execute({"entries": 50000, "rooted": 1}, run)
