"""Writes the objects of this process as JSON lines, for `harness import`.

Run it inside the process whose heap is wanted, `exec(open("FILE").read())`, and then
`dump_heap("NAME.lines")`. It works with CPython 3.8 and newer. It collects garbage first, and changes
nothing else. No name, string or content of an object is written: only addresses, sizes, counts and
references.
"""


def dump_heap(path):
    import gc
    import sys

    # Twice, as finalizers may leave something behind.
    gc.collect()
    gc.collect()
    enabled = gc.isenabled()
    gc.disable()
    try:
        # As many as the list, the variable and the call have of an object that nobody else knows:
        # up to CPython 3.13 the argument of a call counts, and from 3.14 on it is borrowed.
        alone = [object()]
        one = alone[0]
        own = sys.getrefcount(one)
        alone = one = None
        # What has no references of its own is not tracked, and is found through who refers to it.
        waiting = gc.get_objects()
        queued = set(map(id, waiting))
        number = written = 0
        with open(path, "w") as out:
            write = out.write
            ours = set(map(id, (waiting, queued, out, sys._getframe())))
            ours.add(id(ours))
            write('{"order": "address", "ends": true, "source": "cpython %d.%d.%d"}\n' % sys.version_info[:3])
            while number < len(waiting):
                one = waiting[number]
                number += 1
                address = id(one)
                if address in ours:
                    continue
                count = max(0, sys.getrefcount(one) - own)
                references = []
                for other in gc.get_referents(one):
                    if id(other) in ours:
                        continue
                    references.append(id(other))
                    if id(other) not in queued:
                        queued.add(id(other))
                        waiting.append(other)
                other = None
                # Behind a header of two words, and two more where the collector tracks.
                header = 32 if gc.is_tracked(one) else 16
                try:
                    size = sys.getsizeof(one)
                except Exception:
                    size = header
                payload = max(0, size - header - 8 * len(references))
                write('{"id": %d, "refs": %s, "bytes": %d, "count": %d}\n'
                      % (address, references, payload, count))
                written += 1
                one = None
            write('{"end": %d}\n' % written)
    finally:
        if enabled:
            gc.enable()
    return number
