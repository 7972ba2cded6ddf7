"""The program of the experiments cpu-bound and io-bound in Python: the same tasks as in harness/src/experiment/cpu_bound.rs, split over
threads in the same way.

    python3 cpu_bound.py tasks=20 increments=500000 sleep-us=0 threads=20
    harness claims cpu-bound io-bound
"""

import time

from peer import WORD, Outcome, execute, mix, on_threads, share

# Added to each number: the interpreter keeps small ones, and does not allocate them.
BEYOND_CACHE = 1024


def run(values):
    tasks, increments, threads = values["tasks"], values["increments"], values["threads"]
    sleep = values["sleep-us"] / 1e6

    def task():
        end = increments + BEYOND_CACHE
        seen = 0
        count = BEYOND_CACHE
        while count < end:
            seen += count
            count += 1
        return seen - BEYOND_CACHE * increments

    def part(thread):
        begun = time.monotonic_ns()
        begin, end = share(tasks, threads, thread)
        seen = 0
        for _ in range(begin, end):
            seen += task()
            if sleep:
                time.sleep(sleep)
        return seen, time.monotonic_ns() - begun

    parts = on_threads(threads, part)
    checksum = mix(sum(seen for seen, _ in parts) & WORD)
    times = [taken for _, taken in parts]
    observations = {"shortest_run_ns": min(times), "longest_run_ns": max(times)}
    # An integer for each increment, and the one that each task begins with.
    made = tasks * (increments + 1)
    return Outcome(checksum, tasks * increments, made, 8 * made, observations)


execute({"tasks": 20, "increments": 500000, "sleep-us": 0}, run)
