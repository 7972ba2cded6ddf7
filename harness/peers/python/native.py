"""The program of the experiment native in Python: calls of the library's own C functions. binascii.crc_hqx keeps the global lock however long it
takes; zlib.crc32 gives it up for buffers of more than 5 KiB. What they compute is what harness/src/experiment/native.rs computes.

    python3 native.py calls=8 kibibytes=4096 keeps=1 beside=0 threads=2
    harness claims native
"""

import binascii
import time
import zlib

from peer import WORD, Outcome, beside, execute, median, mix, on_threads, share


class Result:
    __slots__ = ("word",)

    def __init__(self, word):
        self.word = word


def run(values):
    calls, threads, others = values["calls"], values["threads"], values["beside"]
    length = values["kibibytes"] << 10
    data = (bytes(range(251)) * (length // 251 + 1))[:length]
    call = binascii.crc_hqx if values["keeps"] else zlib.crc32

    def part(thread):
        begin, end = share(calls, threads, thread)
        total = 0
        times = []
        for number in range(begin, end):
            start = time.monotonic_ns()
            computing = time.thread_time_ns()
            result = Result(call(data, 0))
            # After a call that kept the lock somebody else may get it before the clock is read; this one does not count that.
            computing = time.thread_time_ns() - computing
            times.append((time.monotonic_ns() - start, computing))
            total += mix(result.word ^ (number << 32))
        return total, times

    parts, gap = beside(others, lambda: on_threads(threads, part))
    times = [taken for _, part in parts for taken, _ in part]
    computing = [computing for _, part in parts for _, computing in part]
    checksum = mix(sum(total for total, _ in parts) & WORD)
    made = calls + others
    seen = {
        "median_call_ns": median(times),
        "median_computing_ns": median(computing),
        "longest_call_ns": max(times),
    }
    if others:
        seen["longest_gap_ns"] = gap
    return Outcome(checksum, calls, made, 8 * made, seen)


execute({"calls": 8, "kibibytes": 4096, "keeps": 1, "beside": 0}, run)
