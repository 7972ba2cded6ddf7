"""The experiment async in Python: the same tasks as in harness/src/experiment/async.rs, on one thread with asyncio, or on a thread each.

    python3 async.py tasks=500 threads=1 waits=10 microseconds=10000
    harness claims async --peer cpython
"""

import asyncio
import resource
import time

from peer import WORD, Outcome, execute, mix, on_threads, share

ROUNDS = 10


class Response:
    __slots__ = ("task", "round")

    def __init__(self, task, round):
        self.task = task
        self.round = round


def context_switches():
    usage = resource.getrusage(resource.RUSAGE_SELF)
    return usage.ru_nvcsw + usage.ru_nivcsw


def run(values):
    tasks, threads, waits, seed = values["tasks"], values["threads"], values["waits"], values["seed"]
    mean_ns = 1000 * values["microseconds"]

    def length(task, round):
        draw = mix((seed + task * waits + round) & WORD)
        return (mean_ns // 2 + draw % mean_ns) / 1e9

    def respond(task, round):
        response = Response(task, round)
        word = response.task * waits + response.round
        for _ in range(ROUNDS):
            word = mix(word)
        return response, word

    def sleeping(task):
        total = 0
        for round in range(waits):
            time.sleep(length(task, round))
            _, word = respond(task, round)
            total += word
        return total & WORD

    async def awaiting(task):
        total = 0
        for round in range(waits):
            await asyncio.sleep(length(task, round))
            _, word = respond(task, round)
            total += word
        return total & WORD

    async def multiplexed(begin, end):
        return sum(await asyncio.gather(*(awaiting(task) for task in range(begin, end))))

    def part(thread):
        begin, end = share(tasks, threads, thread)
        if end - begin == 1:
            return sleeping(begin)
        loop = asyncio.new_event_loop()
        try:
            return loop.run_until_complete(multiplexed(begin, end))
        finally:
            loop.close()

    begun = time.monotonic_ns()
    before = context_switches()
    sums = on_threads(threads, part)
    observations = {
        "context_switches_count": context_switches() - before,
        "elapsed_ns": time.monotonic_ns() - begun,
    }
    # A response to each wait, and a table on each thread.
    objects = tasks * waits + threads
    return Outcome(mix(sum(sums) & WORD), tasks * waits, objects, 16 * tasks * waits + 8 * tasks, observations)


execute({"tasks": 500, "waits": 10, "microseconds": 10000}, run)
