"""python -m tools.heal FOLDER

Mend what DVC leaves behind when it is killed while it writes, and then cannot read: a dvc.lock cut short, a
register of who reads and writes what (rwlock) cut short, and an empty folder of the run-cache. `./reproduce`
begins with it; after a kill of `dvc repro` or of a queue, say it before the next `dvc` command. Nothing is
lost: what dvc.lock no longer names is in the run-cache, from where DVC takes it again.

reads   FOLDER/dvc.lock, and what git holds of it; .dvc/tmp/rwlock, .dvc/cache/runs
writes  the same, and says so; nothing if all is well
"""

import json
import os
import subprocess
import time
from configparser import ConfigParser
from contextlib import chdir
from pathlib import Path

from specialists.base.command import run
from specialists.base.files import replacing
from specialists.tracking import pipeline

LOCK = Path("dvc.lock")
KEY = 64  # characters of the name of what the run-cache holds
PATIENCE = 1.0  # seconds in which a DVC that lives has written what it writes


def main(folder: str):
    with chdir(folder):
        heal()


def heal():
    """Mend what is broken here, with a line about each."""
    if found := broken():
        time.sleep(PATIENCE)
        for path, mend in broken().items():
            if path in found:
                print(mend(path))


def broken():
    """Path -> what mends it, of all that DVC cannot read."""
    found = {LOCK: restored} if LOCK.exists() and not valid(LOCK) else {}
    if (own := next((each / ".dvc" for each in above() if (each / ".dvc").is_dir()), None)) is None:
        return found
    register = own / "tmp/rwlock"
    found |= {register: removed} if register.is_file() and not readable(register) else {}
    for key in Path(cache(own), "runs").glob("??/*/"):
        entries = list(key.iterdir())
        drafts = [path for path in entries if len(path.name) != KEY]
        found |= dict.fromkeys(drafts, removed)
        found |= {key: removed} if drafts == entries else {}
    return found


def above():
    return [Path.cwd(), *Path.cwd().parents]


def cache(own):
    """The folder of DVC's cache, as a file of its settings says, the later one first."""
    for name in ("config.local", "config"):
        settings = ConfigParser(interpolation=None)
        settings.read(own / name, encoding="utf-8")
        if settings.has_option("cache", "dir"):
            return own / settings.get("cache", "dir")
    return own / "cache"


def readable(path):
    try:
        return isinstance(json.loads(path.read_text()), dict)
    except ValueError:
        return False


def valid(lock):
    """Whether it can be read, or is at odds with itself after a merge, which is for people to mend."""
    try:
        return bool(pipeline.stages(lock))
    except ValueError:
        return "<<<<<<<" in lock.read_text(errors="replace")


def removed(path):
    if path.is_dir():
        path.rmdir()
    else:
        path.unlink()
    return f"{path}: DVC was killed while it wrote this; removed"


def restored(lock):
    """The lock that git holds, or none."""
    held = subprocess.run(["git", "show", f"HEAD:./{lock}"], capture_output=True, text=True)
    if held.returncode:
        os.unlink(lock)
        return f"{lock}: DVC was killed while it wrote this; removed, and git holds none"
    with replacing(lock) as draft:
        draft.write_text(held.stdout)
    return f"{lock}: DVC was killed while it wrote this; as in git again"


if __name__ == "__main__":
    run(main)
