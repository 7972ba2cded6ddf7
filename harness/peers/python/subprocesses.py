"""The experiment subprocesses in Python: the same children as in harness/src/experiment/subprocesses.rs, started and waited for with
subprocess.

    python3 subprocesses.py children=10 threads=10 milliseconds=40
    harness claims subprocesses --peer cpython
"""

import subprocess

from peer import WORD, Outcome, execute, mix, on_threads, share

HANGS = 100
PATIENCE = 5


def run(values):
    children, hanging, milliseconds = values["children"], values["hanging"], values["milliseconds"]
    threads = values["threads"]

    def part(thread):
        begin, end = share(children + hanging, threads, thread)
        total = 0
        killed = 0
        right = 0
        for number in range(begin, end):
            hangs = number >= children
            time = milliseconds * (HANGS if hangs else 1)
            child = subprocess.Popen(
                ["sleep", "%d.%03d" % divmod(time, 1000)], stdin=subprocess.DEVNULL, stdout=subprocess.PIPE
            )
            with child:
                ended_well = False
                overdue = False
                try:
                    child.communicate(timeout=milliseconds * PATIENCE / 1e3 if hangs else None)
                    ended_well = child.returncode == 0
                except subprocess.TimeoutExpired:
                    child.kill()
                    child.communicate()
                    overdue = True
            killed += overdue
            right += overdue == hangs
            result = (number, int(ended_well))
            total += mix(2 * result[0] + result[1])
        return total, killed, right

    parts = on_threads(threads, part)
    made = children + hanging
    observations = {
        "killed_children": sum(killed for _, killed, _ in parts),
        "rightly_ended_children": sum(right for _, _, right in parts),
        "hang_ns": milliseconds * HANGS * 1000000 if hanging else 0,
    }
    return Outcome(mix(sum(total for total, _, _ in parts) & WORD), made, made, 16 * made, observations)


execute({"children": 10, "hanging": 0, "milliseconds": 40}, run)
