"""Kill DVC where it changes a file of its repository; Python runs this first where PYTHONPATH leads here.

REPOSITORY: where; CHANGES: a file to write down each change; KILL_AT: which change ends the process instead,
KILL_WHEN: before it is made, or as soon as it is.
"""

import os
import signal
import sys

HOME, NOTES = os.environ["REPOSITORY"] + "/", os.environ["CHANGES"]
AT, BEFORE = int(os.getenv("KILL_AT", "-1")), os.getenv("KILL_WHEN") == "before"
EVENTS = {"os.rename", "os.remove", "os.mkdir", "os.rmdir", "os.truncate", "os.link", "os.symlink"}
changes = 0


def end(*_):
    os.kill(os.getpid(), signal.SIGKILL)


def changed(event, given):
    """The file of the repository that an event of Python changes."""
    writes = event in EVENTS
    if event == "open":
        _, mode, flags = given
        writes = bool({*mode} & {*"wax+"}) if mode else bool(flags & (os.O_WRONLY | os.O_RDWR))
    if writes and isinstance(given[0], str | bytes | os.PathLike):
        path = os.path.abspath(os.fsdecode(given[0]))
        return path.removeprefix(HOME) if path.startswith(HOME) else None


def hear(event, given):
    global changes
    if path := changed(event, given):
        if AT < 0:
            descriptor = os.open(NOTES, os.O_WRONLY | os.O_CREAT | os.O_APPEND)
            os.write(descriptor, f"{event} {path}\n".encode())
            os.close(descriptor)
        elif changes == AT:
            end() if BEFORE else sys.setprofile(end)
        changes += 1


if os.path.basename(sys.orig_argv[1:2][0] if sys.orig_argv[1:] else "") == "dvc":
    sys.addaudithook(hear)
