"""Kill a process where it changes a file of its repository, or starts another one that may.

Python runs this first where PYTHONPATH leads here. COMMANDS: which commands it concerns, such as `dvc` or
`tools.reproduce`; REPOSITORY: where; CHANGES: a file to write down each change. KILL_AT: at which change to
kill, its number or the first that reads so; KILL_WHEN: before it is made, or as soon as it is; KILL_WHOM:
`self`, or `parent`, which started it, or both; SPARED: the process that is never killed, which asked for it.
"""

import os
import signal
import sys
from threading import Timer

HOME, NOTES = os.environ["REPOSITORY"] + "/", os.environ["CHANGES"]
AT, BEFORE = os.getenv("KILL_AT"), os.getenv("KILL_WHEN") == "before"
EVENTS = {"os.rename", "os.remove", "os.mkdir", "os.rmdir", "os.truncate", "os.link", "os.symlink"}
START, SECONDS = "subprocess.Popen", 1.0  # what was started a second ago, has begun


def end(*_):
    sys.setprofile(None)
    known = {"parent": os.getppid(), "self": os.getpid()}
    for whom in os.getenv("KILL_WHOM", "self").split():
        if str(known[whom]) != os.getenv("SPARED"):
            os.kill(known[whom], signal.SIGKILL)


def changed(event, given):
    """The file of the repository that an event of Python changes, or the command that it starts."""
    if event == START:
        return " ".join(map(str, given[1][:4])) if ME != "dvc" else None
    writes = event in EVENTS
    if event == "open":
        _, mode, flags = given
        writes = bool({*mode} & {*"wax+"}) if mode else bool(flags & (os.O_WRONLY | os.O_RDWR))
    if writes and isinstance(given[0], str | bytes | os.PathLike):
        path = os.path.abspath(os.fsdecode(given[0]))
        return path.removeprefix(HOME) if path.startswith(HOME) else None


def hear(event, given):
    if path := changed(event, given):
        descriptor = os.open(NOTES, os.O_RDWR | os.O_CREAT | os.O_APPEND)
        place = os.pread(descriptor, os.fstat(descriptor).st_size, 0).count(b"\n")  # of all processes
        note = f"{ME}: {event} {path.replace(str(os.getpid()), 'PID')}"
        os.write(descriptor, f"{note}\n".encode())
        os.close(descriptor)
        if AT in (str(place), note) and BEFORE:
            end()
        elif AT in (str(place), note):
            Timer(SECONDS, end).start() if event == START else sys.setprofile(end)


one, two, *_ = [*sys.orig_argv[1:], "", ""]
ME = two if one == "-m" else os.path.basename(one)
if ME in os.environ["COMMANDS"].split():
    sys.addaudithook(hear)
