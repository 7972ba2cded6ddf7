"""Which interpreter this is, and which file it is: asked before a run, and said by every process that is measured.

Runs on every version of Python, so that one that is too old, or of another kind, can be named:

    python3 identity.py
"""

import json
import os
import platform
import sys


def has_no_lock():
    """Whether threads run without the global lock now: a build that can do without may have it."""
    return not getattr(sys, "_is_gil_enabled", lambda: True)()


def version():
    """The version, and what tells this build from others of it."""
    words = [platform.python_version()]
    if has_no_lock():
        words.append("free-threaded")
    elif "t" in getattr(sys, "abiflags", ""):
        words.append("with the lock")
    if hasattr(sys, "gettotalrefcount"):
        words.append("debug")
    return " ".join(words)


def program():
    """The file that runs. What the interpreter believes can be what it was called by, which is then looked for on PATH and may be another's: the
    system knows, where it says. The interpreter's own path is kept if it leads to the same file: it tells a virtual environment."""
    named = sys.executable or ""
    try:
        running = os.readlink("/proc/self/exe")
    except (OSError, AttributeError):
        return named
    try:
        return named if os.path.samefile(named, running) else running
    except OSError:
        return running


def text(path):
    """A path as text that any reader of JSON takes."""
    if not isinstance(path, bytes):
        path = os.fsencode(path)
    return path.decode("utf-8", "replace")


def identity():
    return {
        "name": platform.python_implementation(),
        "version": version(),
        "program": text(program()),
        "details": {"build": " ".join(sys.version.split()), "lock": "off" if has_no_lock() else "on"},
    }


if __name__ == "__main__":
    print(json.dumps({"runtime": identity()}))
