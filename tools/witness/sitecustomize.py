"""What `python -m tools.accept` has to see of a stage; Python runs this first where PYTHONPATH leads here.

A process writes down which marks (tools/marks.py) it passes. The first stage of each kind that writes a
checkpoint is killed then, once. Each time the project reads the clock, a minute seems to have passed, so that
checkpoints are due in the middle of an epoch.
"""

import builtins
import itertools
import os
import re
import signal
import sys
import time
from pathlib import Path

NOTES, HOME = Path(os.environ["WITNESS"]), os.environ["COPY"]
KIND = next((word for word in sys.orig_argv if word.startswith("stages.")), "")
CHECKPOINT = re.compile(r"(.*/)?scratch/[^/]+\.pt")
passed, looks = set(), itertools.count()
replace, monotonic = os.replace, time.monotonic


def ran(mark, value=None):
    if mark not in passed:
        passed.add(mark)
        with open(NOTES / "ran", "a") as file:
            file.write(f"{mark}\n")
    return value


def killing(source, target, **more):
    replace(source, target, **more)
    killed = NOTES / f"killed-{KIND}"
    if CHECKPOINT.fullmatch(os.fspath(target)) and not killed.exists():
        killed.touch()
        os.kill(os.getpid(), signal.SIGKILL)


def hurried():
    ours = sys._getframe(1).f_code.co_filename.startswith(HOME)
    return monotonic() + (60 * next(looks) if ours else 0)


builtins._ran = ran
if KIND:
    os.replace, time.monotonic = killing, hurried
