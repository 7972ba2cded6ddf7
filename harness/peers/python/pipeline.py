"""The experiment pipeline in Python: the same stages as in harness/src/experiment/pipeline.rs, joined by the documents' own queue (a deque under a
lock, whose get fails when it is empty), or by queue.Queue.

    python3 pipeline.py items=1000 queue=0 sleep-milliseconds=10
    harness claims pipeline --peer cpython

A poll in vain is a get that failed. Of wakes for nothing queue.Queue tells nothing.
"""

import queue
import threading
import time
from collections import deque

from peer import WORD, Outcome, execute, mix, on_threads

IMAGE = 64
SMALL_IMAGE = 8
ROUNDS = 4
PACKET = 10


class Item:
    __slots__ = ("number",)

    def __init__(self, number):
        self.number = number


class Polled:
    """A queue whose workers look for themselves, every `pause` seconds."""

    def __init__(self, pause, spins):
        self.items = deque()
        self.lock = threading.Lock()
        self.pause = pause
        self.spins = spins
        self.found = 0
        self.empty = 0
        self.longest = 0
        self.unfinished = 0
        self.closed = False
        self.slept = 0
        self.overfull = 0

    def put(self, item):
        with self.lock:
            self.items.append(item)
            self.unfinished += 1
            self.longest = max(self.longest, len(self.items))

    def get(self):
        while True:
            with self.lock:
                if self.items:
                    self.found += 1
                    return self.items.popleft()
                if self.closed:
                    return None
                self.empty += 1
            if not self.spins:
                begun = time.monotonic_ns()
                time.sleep(self.pause)
                self.slept += time.monotonic_ns() - begun

    def task_done(self):
        with self.lock:
            self.unfinished -= 1

    def join(self):
        polls = 0
        while self.unfinished > 0:
            polls += 1
            time.sleep(self.pause)
        return polls

    def close(self):
        with self.lock:
            self.closed = True


class Blocking(queue.Queue):
    """The standard queue, which counts; None closes it."""

    def __init__(self, capacity):
        super().__init__(capacity)
        self.found = 0
        self.empty = 0
        self.longest = 0
        self.slept = 0
        self.overfull = 0

    def _put(self, item):
        super()._put(item)
        if item is not None:
            self.longest = max(self.longest, self._qsize())
            self.overfull += 0 < self.maxsize < self._qsize()

    def _get(self):
        item = super()._get()
        self.found += item is not None
        return item

    def join(self):
        super().join()
        return 0

    def close(self):
        self.put(None)


def download(item):
    first = item.number * IMAGE
    return [mix(first + index) for index in range(IMAGE)]


def resize(image):
    small = []
    each = IMAGE // SMALL_IMAGE
    for index in range(SMALL_IMAGE):
        total = 0
        for word in image[index * each : (index + 1) * each]:
            for _ in range(ROUNDS):
                word = mix(word)
            total += word
        small.append(total & WORD)
    return small


def run(values):
    items = values["items"]
    pause = values["sleep-milliseconds"] / 1e3
    packet = values["packet-microseconds"] / 1e6
    kind = values["queue"]
    queues = [Blocking(values["capacity"]) if kind == 2 else Polled(pause, kind == 1) for _ in range(3)]
    downloads, resizes, uploads = queues
    end = {}
    slow_download = values["slow"] == 1

    def slow(item, count=[0]):
        count[0] += 1
        if count[0] % PACKET == 0:
            time.sleep(packet)
        return item

    def feed():
        begun = time.monotonic_ns()
        for number in range(items):
            downloads.put(Item(number))
        end["waiter_polls_count"] = sum(each.join() for each in queues)
        end["worked_ns"] = time.monotonic_ns() - begun
        end["starved_ns"] = uploads.slept
        empty = [each.empty for each in queues]
        if kind == 0:
            time.sleep(5 * pause)
        after = [each.empty - before for each, before in zip(queues, empty)]
        end["still_polling_workers_count"] = sum(1 for polls in after if polls)
        end["empty_polls_count"] = sum(empty)
        for each in queues:
            each.close()
        return 0

    def work(source, to, stage):
        while True:
            item = source.get()
            if item is None:
                return 0
            to.put(stage(item))
            source.task_done()

    def upload():
        total = 0
        while True:
            small = uploads.get()
            if small is None:
                return total & WORD
            if not slow_download:
                slow(small)
            digest = 0
            for word in small:
                digest = mix(digest ^ word)
            total += digest
            uploads.task_done()

    def first(item):
        return download(slow(item) if slow_download else item)

    parts = [feed, lambda: work(downloads, resizes, first), lambda: work(resizes, uploads, resize), upload]
    sums = on_threads(4, lambda number: parts[number]())
    observations = {
        "polls_count": sum(each.found for each in queues) + end["empty_polls_count"],
        "waiter_looks_count": end["waiter_polls_count"] + len(queues),
        "workers_count": len(queues),
        "puts_count": sum(each.found for each in queues),
        "overfull_puts_count": sum(each.overfull for each in queues),
        "longest_last_queue_items": uploads.longest,
        "longest_queue_items": max(each.longest for each in queues),
    }
    observations.update(end)
    # An item, its two images, and a node in each of three queues, which are lists of nodes there and deques here.
    objects = 6 * items + 3
    payload = (8 + 8 * IMAGE + 8 * SMALL_IMAGE + 3 * 16) * items + 3 * 24
    return Outcome(mix(sum(sums) & WORD), items, objects, payload, observations)


execute(
    {"items": 1000, "queue": 2, "capacity": 0, "sleep-milliseconds": 10, "packet-microseconds": 1000, "slow": 0},
    run,
)
