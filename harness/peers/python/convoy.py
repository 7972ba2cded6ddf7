"""The program of the experiment convoy in Python: a thread that asks an outsider and waits for the answer, beside threads that compute, as in
harness/src/experiment/convoy.rs. The outsider is a process: a thread would need the global lock too.

    python3 convoy.py calls=40 beside=1
    harness claims convoy
"""

import socket
import subprocess
import sys
import time

from peer import WORD, Outcome, beside, execute, median, mix, on_threads

OUTSIDER = """
import os, sys, time
while True:
    byte = os.read(0, 1)
    if not byte:
        break
    time.sleep(50e-6)
    os.write(0, bytes([(byte[0] + 1) & 0xff]))
"""


class Answer:
    __slots__ = ("word",)

    def __init__(self, word):
        self.word = word


def call(calls):
    """So many calls of an outsider: the sum of its answers, and how long each took."""
    ours, theirs = socket.socketpair()
    with ours:
        with theirs:
            outsider = subprocess.Popen([sys.executable, "-I", "-S", "-c", OUTSIDER], stdin=theirs)
        # Until it has started, and is no part of what is timed.
        ours.sendall(b"\0")
        ours.recv(1)
        total = 0
        times = []
        for number in range(calls):
            start = time.monotonic_ns()
            ours.sendall(bytes([number & 0xFF]))
            byte = ours.recv(1)
            times.append(time.monotonic_ns() - start)
            answer = Answer(byte[0])
            total += mix(answer.word ^ (number << 8))
    outsider.wait()
    return total, times


def run(values):
    calls, threads, others = values["calls"], values["threads"], values["beside"]
    parts, _ = beside(others, lambda: on_threads(threads, lambda _: call(calls)))
    times = [time for _, part in parts for time in part]
    checksum = mix(sum(total for total, _ in parts) & WORD)
    made = calls * threads + others
    seen = {"median_call_ns": median(times), "longest_call_ns": max(times)}
    return Outcome(checksum, calls * threads, made, 8 * made, seen)


execute({"calls": 40, "beside": 0}, run)
