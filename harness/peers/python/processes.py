"""The experiment processes in Python: the same tasks as in harness/src/experiment/processes.rs, in threads or in processes that are forked.

    python3 processes.py tasks=4 threads=4 steps=1000000
    python3 processes.py tasks=4 apart=1 steps=1000000
    harness claims processes --peer cpython
"""

import multiprocessing
import resource
import time

from peer import WORD, Outcome, execute, on_threads, peak_resident_bytes, share


def processor_ns():
    usages = [resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)]
    return int(1e9 * sum(usage.ru_utime + usage.ru_stime for usage in usages))


def run(values):
    tasks, steps, threads = values["tasks"], values["steps"], values["threads"]

    def task():
        if values["counting"]:
            result = 0
            for _ in range(steps):
                result += 1
        else:
            result = sum(number * number for number in range(steps))
        if values["microseconds"]:
            time.sleep(values["microseconds"] / 1e6)
        return result & WORD

    def child(connection):
        result = task()
        connection.send((result, peak_resident_bytes()))

    def apart():
        context = multiprocessing.get_context("fork")
        children = []
        for _ in range(tasks):
            receiver, sender = context.Pipe(duplex=False)
            process = context.Process(target=child, args=(sender,), daemon=True)
            process.start()
            sender.close()
            children.append((process, receiver))
        total = 0
        resident = 0
        for process, receiver in children:
            result, size = receiver.recv()
            process.join()
            total += result
            resident += size
        return total, resident

    before = processor_ns()
    if values["apart"]:
        total, resident = apart()
        # Those of the children are their own.
        objects, payload = tasks, 8 * tasks
    else:
        sums = on_threads(threads, lambda thread: sum(task() for _ in range(*share(tasks, threads, thread))))
        total, resident = sum(sums), 0
        objects = tasks * (steps + 1)
        payload = 8 * objects
    observations = {
        "processor_ns": processor_ns() - before,
        "resident_bytes": peak_resident_bytes() + resident,
    }
    return Outcome(total & WORD, tasks * steps, objects, payload, observations)


execute({"tasks": 1, "steps": 1000000, "counting": 0, "microseconds": 0, "apart": 0}, run)
