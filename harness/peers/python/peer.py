"""What the programs of this directory share: arguments, threads, the generator, and clocks.

CPython 3.7 or later. How it is measured:

- CPython's heap has no limit: it grows as it is asked to. So there is no heap size to set and no full heap; what a run took at most is what the
  process grew by from before its first iteration. Where the system refuses it memory, that is what its row says.
- The cycle collector is on with its own thresholds, as it is by default. Its collections are counted, and their pauses are not recorded:
  cascades of decrements and waits for the global lock stop threads, too, and CPython says nothing about them, so that a longest pause would
  be that of the collector alone; and gc.callbacks, which tells of collections, would cost two calls for each of them.
- Starting threads is no part of the time: the work on them begins when all are there, as on the heaps.
- Nodes are objects of classes with __slots__, which is CPython's plainest object with fields: 16 bytes of header, 8 for each slot, and 16 of the
  collector's. Numbers above 256 are objects of their own; the objects and bytes that are reported are the workload's, without them.
- No compiler removes objects, so what was allocated is the objects that the workload made, by the least that one takes.
"""

import gc
import json
import os
import resource
import struct
import sys
import threading
import time
import traceback

import identity

WORD = 0xFFFFFFFFFFFFFFFF
LEAST_OBJECT_BYTES = 16


def mix(value):
    """The finaliser of SplitMix64 (Steele, Lea, Flood, OOPSLA 2014)."""
    value = ((value ^ (value >> 30)) * 0xBF58476D1CE4E5B9) & WORD
    value = ((value ^ (value >> 27)) * 0x94D049BB133111EB) & WORD
    return value ^ (value >> 31)


def generator(seed, stream):
    """Draws of xoshiro256++ (Blackman, Vigna, TOMS 2021), its state filled by SplitMix64: the sequence numbered `stream` of a seed."""
    state = (mix(seed) + stream * 0x9E3779B97F4A7C15) & WORD
    fill = []
    for _ in range(4):
        state = (state + 0x9E3779B97F4A7C15) & WORD
        fill.append(mix(state))
    s0, s1, s2, s3 = fill
    while True:
        total = (s0 + s3) & WORD
        yield (((total << 23) | (total >> 41)) + s0) & WORD
        shifted = (s1 << 17) & WORD
        s2 ^= s0
        s3 ^= s1
        s1 ^= s2
        s0 ^= s3
        s2 ^= shifted
        s3 = ((s3 << 45) | (s3 >> 19)) & WORD


def share(total, threads, thread):
    """The boundaries of a thread's part of `total` items: its first, and the one after its last."""
    return total * thread // threads, total * (thread + 1) // threads


class Refused(Exception):
    """What the system has refused."""


# For how long the other threads may go on when one has failed, and how often it is looked.
PATIENCE_S = 2.0
STEP_S = 0.1


class Starting(threading.local):
    """For how long a thread has waited for threads to be started, which is no part of what is timed."""

    ns = 0


starting = Starting()


def start(thread):
    """Starts a thread, or says that the system has none."""
    begun = time.monotonic_ns()
    try:
        thread.start()
    except RuntimeError as error:
        raise Refused("cannot start a thread: %s" % error) from error
    starting.ns += time.monotonic_ns() - begun


def on_threads(threads, part):
    """Runs `part(number)` on new threads, numbered from 0, and returns their results in that order once all have ended. They begin when all of
    them are there; what it took until then is no part of what is timed."""
    results = [None] * threads
    # Of threads that start some of their own, these wait at the same time.
    within = [0] * threads
    failures = []
    all_there = threading.Event()

    def run(number):
        all_there.wait()
        try:
            results[number] = part(number)
            within[number] = starting.ns
        except BaseException as failure:
            failures.append(failure)

    running = [threading.Thread(target=run, args=(number,)) for number in range(threads)]
    for thread in running:
        start(thread)
    all_there.set()
    for thread in running:
        patience = PATIENCE_S
        while thread.is_alive() and patience > 0:
            thread.join(STEP_S)
            # Whoever waits for one that has failed, at a barrier or for a queue, waits for ever.
            patience -= STEP_S if failures else 0
    if failures:
        raise failures[0]
    starting.ns += max(within)
    return results


class Computing(threading.Thread):
    """Counts in an object until it is stopped, and notes the longest time between two turns."""

    def __init__(self):
        super().__init__()
        self.began = threading.Event()
        self.stopping = False
        self.longest_gap = 0

    def run(self):
        count = [0]
        longest = 0
        self.began.set()
        last = time.monotonic_ns()
        while not self.stopping:
            count[0] += 1
            now = time.monotonic_ns()
            if now - last > longest:
                longest = now - last
            last = now
        self.longest_gap = longest


def beside(threads, work):
    """Runs `work()` while so many more threads compute, and stops them when it is done. Returns its result, and the longest time in nanoseconds
    that one of them spent between two turns."""
    computing = [Computing() for _ in range(threads)]
    try:
        for thread in computing:
            start(thread)
            thread.began.wait()
        result = work()
    finally:
        for thread in computing:
            thread.stopping = True
        for thread in computing:
            if thread.ident is not None:
                thread.join()
    return result, max([thread.longest_gap for thread in computing], default=0)


def median(times):
    """The median of times; 0 of none."""
    times = sorted(times)
    return (times[(len(times) - 1) // 2] + times[len(times) // 2]) // 2 if times else 0


class Outcome:
    """What was done. Objects and payload bytes are the workload's own count: 8 bytes for each field and word.

    `observations` is what the program saw on its way: numbers that are not negative, by lower-case names that end in their units. `delays_ns`
    says how long each object took from unreachable to reclaimed, in any order."""

    def __init__(self, checksum, operations, objects, payload_bytes, observations=None, delays_ns=()):
        self.checksum = checksum
        self.operations = operations
        self.objects = objects
        self.payload_bytes = payload_bytes
        self.observations = dict(observations or {})
        self.delays_ns = list(delays_ns)
        for value in [*self.observations.values(), *self.delays_ns]:
            if not (isinstance(value, int) and 0 <= value <= WORD):
                raise ValueError("not a number that the harness can read: %r" % (value,))


def collections():
    """How many collections there have been, of every generation."""
    return sum(generation["collections"] for generation in gc.get_stats())


def peak_resident_bytes():
    """The largest resident size of this process so far. On Linux, getrusage would also count the parent's size when this process was started."""
    try:
        with open("/proc/self/status") as status:
            for line in status:
                if line.startswith("VmHWM:"):
                    return 1024 * int(line.split()[1])
    except OSError:
        pass
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak if sys.platform == "darwin" else 1024 * peak


def resident_bytes():
    """The resident size of this process now; None where the system does not say."""
    try:
        with open("/proc/self/statm") as sizes:
            return int(sizes.read().split()[1]) * resource.getpagesize()
    except OSError:
        return None


def end_with_parent():
    """Ends this process when standard input does: its other end is held by the harness, which may be killed."""

    def wait():
        while os.read(0, 1):
            pass
        os._exit(1)

    try:
        start(threading.Thread(target=wait, daemon=True))
    except Refused as error:
        fail(str(error))


def fail(message):
    print(message, file=sys.stderr)
    sys.exit(2)


def give_up(runtime, iteration, reason):
    """Says why there is no row, and ends the process, whatever its other threads wait for. The heap has no limit, so this is never a full one."""
    print(json.dumps({"runtime": runtime, "iteration": iteration, "failed": reason}), flush=True)
    os._exit(0)


def in_turns(workload):
    """The workload; or, if `turns` is not 0, the workload on one thread and on all that there are to be, so often and in turns, after once on one thread to warm up: of each the fastest turn is told, and the sum."""

    def run(values):
        if not values["turns"]:
            return workload(values)
        times = {}
        warmed_up = workload(dict(values, threads=1))
        timed = []
        for turn in range(values["turns"]):
            order = [("one_thread", 1), ("all_threads", values["threads"])]
            for name, threads in reversed(order) if turn % 2 else order:
                begun = time.monotonic_ns() - starting.ns
                timed.append(workload(dict(values, threads=threads)))
                taken = time.monotonic_ns() - starting.ns - begun
                fastest, total = name + "_ns", name + "_total_ns"
                times[fastest] = min(taken, times.get(fastest, taken))
                times[total] = times.get(total, 0) + taken
        outcomes = [warmed_up] + timed
        return Outcome(
            mix(sum(outcome.checksum for outcome in outcomes) & WORD),
            sum(outcome.operations for outcome in timed),
            sum(outcome.objects for outcome in outcomes),
            sum(outcome.payload_bytes for outcome in outcomes),
            times,
        )

    return run


def execute(parameters, workload):
    """Reads NAME=NUMBER arguments, runs the workload once to warm up and then as often as `iterations` says, and prints one line of
    JSON each time. `parameters` holds the workload's, with their defaults."""
    values = dict(parameters, threads=1, seed=42, iterations=3, turns=0)
    workload = in_turns(workload)
    for argument in sys.argv[1:]:
        name, equals, number = argument.partition("=")
        if argument == "attended":
            end_with_parent()
        elif name in values and equals and number.isdecimal():
            values[name] = int(number)
        else:
            fail("cannot take '%s'; NAME=NUMBER, with these names and defaults: %s" % (argument, values))
    if not 1 <= values["threads"] <= 1024:
        fail("threads must be from 1 to 1024")
    runtime = identity.identity()
    before = peak_resident_bytes()
    for iteration in range(values["iterations"] + 1):
        # One iteration's garbage is not charged to the next.
        gc.collect()
        collected = collections()
        cpu = time.process_time_ns()
        start = time.monotonic_ns()
        started = starting.ns
        try:
            outcome = workload(values)
        except MemoryError:
            give_up(runtime, iteration, "the system has no more memory")
        except Refused as error:
            give_up(runtime, iteration, str(error))
        except BlockingIOError as error:
            give_up(runtime, iteration, "cannot start a process: %s" % error)
        except BaseException:
            traceback.print_exc()
            sys.stderr.flush()
            # Whatever its other threads wait for.
            os._exit(1)
        end = time.monotonic_ns()
        cpu = time.process_time_ns() - cpu
        collected = collections() - collected
        peak = peak_resident_bytes()
        line = {
            "runtime": runtime,
            "iteration": iteration,
            "checksum": "%016x" % outcome.checksum,
            "operations": outcome.operations,
            "allocated_objects": outcome.objects,
            "allocated_payload_bytes": outcome.payload_bytes,
            "allocated_bytes": LEAST_OBJECT_BYTES * outcome.objects + outcome.payload_bytes,
            "from_ns": start,
            "until_ns": end,
            "wall_ns": end - start - (starting.ns - started),
            "cpu_ns": cpu,
            "heap_bytes": peak - before,
            "resident_bytes": peak,
            "observations": outcome.observations,
            "delays_ns": outcome.delays_ns,
            "collections": collected,
        }
        print(json.dumps(line), flush=True)


def bits_of(numbers):
    """The representations of an array of floating-point numbers."""
    return struct.iter_unpack("Q", numbers)
