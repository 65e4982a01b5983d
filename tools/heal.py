"""python -m tools.heal FOLDER

Mend what a killed DVC leaves behind and cannot read again: a dvc.lock cut short, a register of who reads and
writes what (rwlock) cut short, or full of the dead, and an empty folder of the run-cache. `./reproduce`
begins with it. After a kill of `dvc repro` or of a queue, run it before the next `dvc` command. It mends only
files that have not changed for a while, and only if no DVC of the register lives. The broken lock stays in
scratch/. An experiment of the queue that was killed while it ran, and runs on for DVC, becomes a failed one.

reads   FOLDER/dvc.lock, and what git holds of it; .dvc/tmp/rwlock, the run-cache, .dvc/tmp/exps/run
writes  the same, scratch/dvc.lock.broken, and a line about each; nothing if all is well
"""

import json
import os
import shutil
import subprocess
import time
from contextlib import chdir
from pathlib import Path

import psutil
import yaml
from dvc.config import Config
from dvc.schema import COMPILED_LOCKFILE_SCHEMA
from voluptuous import Invalid

from specialists.base.command import readable, run
from specialists.base.files import replacing

LOCK, BROKEN = Path("dvc.lock"), Path("scratch/dvc.lock.broken")
PATIENCE = 2.0  # seconds in which a DVC that lives writes on
MERGE = "<<<<<<<"  # for people to mend


def main(folder: str):
    with chdir(folder):
        readable()
        heal()


def heal():
    """Mend what is broken here, with a line about each."""
    files()
    if before := abandoned():
        time.sleep(PATIENCE)
        for path in before & abandoned():
            print(failed(path))


def files():
    """Mend what DVC cannot read, if no DVC works and the file does not change."""
    before = {path: state(path) for path in broken()}
    if not before or living():
        return
    time.sleep(PATIENCE)
    for mend, path in [(mend, path) for path, mend in broken().items() if before.get(path) == state(path)]:
        print(mend(path))


def broken():
    """Path -> what mends it, for all that DVC cannot read; files come before the folder that holds them."""
    found = {LOCK: restored} if LOCK.exists() and not valid(LOCK.read_text(errors="replace")) else {}
    if (own := home()) is None:
        return found
    if (register := own / "tmp/rwlock").is_file() and named(register) != []:
        found[register] = removed
    for key in Path(Config(str(own))["cache"].get("dir", own / "cache"), "runs").glob("??/*/"):
        entries = [*key.iterdir()]
        drafts = [path for path in entries if path.name.startswith(".") and path.name.endswith(".tmp")]
        found |= dict.fromkeys(drafts, removed)
        found |= {key: removed} if drafts == entries else {}
    return found


def home():
    """DVC's own folder, here or above."""
    above = (each / ".dvc" for each in (Path.cwd(), *Path.cwd().parents))
    return next((each for each in above if each.is_dir()), None)


def wait():
    """Wait until no DVC works here: it may have outlived what began it, or be that of another terminal."""
    told = None
    while found := living():
        if told != (told := found[0]):
            print(f"waiting for process {told['pid']}, which works here: {told['cmd']}", flush=True)
        time.sleep(1)


def living():
    """The processes of the register that are running."""
    own = home()
    return [each for each in (named(own / "tmp/rwlock") if own else None) or () if runs(each)]


def runs(entry):
    """Whether a process runs that a register names: DVC asks whether there is one of its number.

    That may be a dead one that nobody has waited for, as in a container, or after a power cut a stranger.
    """
    words = entry["cmd"].partition(" ")[2] or entry["cmd"]
    try:
        return words in " ".join(psutil.Process(entry["pid"]).cmdline())
    except psutil.NoSuchProcess:
        return False
    except psutil.AccessDenied:
        return True


def named(register):
    """The processes that a register names, or None if it cannot be read."""
    try:
        tree = json.loads(register.read_text()) if register.exists() else {}
        readers = [each for several in tree.get("read", {}).values() for each in several]
        both = [*readers, *tree.get("write", {}).values()]
        found = [{"pid": each["pid"], "cmd": str(each["cmd"])} for each in both]
        return found if all(type(each["pid"]) is int and each["pid"] > 0 for each in found) else None
    except (ValueError, AttributeError, TypeError, KeyError):
        return None


def valid(text):
    """Whether DVC can read a lock, or a merge is left for people to mend."""
    try:
        COMPILED_LOCKFILE_SCHEMA(yaml.load(text, getattr(yaml, "CSafeLoader", yaml.SafeLoader)))
    except (yaml.YAMLError, Invalid, ValueError, RecursionError):
        return MERGE in text
    return True


def abandoned():
    """The records of experiments of the queue that DVC takes for running, though their process is dead."""
    own, found = home(), set()
    for path in own.glob("tmp/exps/run/*/*.json") if own else ():
        process = json.loads(path.read_text())
        if process["returncode"] is None and not runs({"pid": process["pid"], "cmd": "dvc exp exec-run"}):
            found.add(path)
    return found


def failed(path):
    """What DVC notes itself of a process that it finds dead; else it would signal who has its number now."""
    with replacing(path) as draft:
        draft.write_text(json.dumps(json.loads(path.read_text()) | {"returncode": -1}))
    killed = subprocess.run(["dvc", "queue", "kill", path.stem], capture_output=True, text=True)
    marked = f"not marked as failed: {killed.stderr.strip()}" if killed.returncode else "marked as failed"
    return f"{path.stem[:7]}: an experiment of the queue, killed while it ran; {marked}; queue it again"


def state(path):
    """Numbers that change when somebody writes the file."""
    found = path.stat()
    return found.st_mtime_ns, found.st_size, found.st_ino


def removed(path):
    try:
        path.rmdir() if path.is_dir() else path.unlink()
    except OSError as error:  # somebody has filled it meanwhile
        return f"{path}: cannot be read by DVC, and not removed: {error.strerror}"
    return f"{path}: DVC was killed while it wrote this; removed"


def restored(lock):
    """The lock that git holds, or none."""
    known, held = git("ls-files", "--error-unmatch", str(lock)), git("show", f"HEAD:./{lock}")
    if known.returncode > 1:
        raise ValueError(f"{lock}: cannot be read by DVC, and git does not say what it was: {known.stderr}")
    BROKEN.parent.mkdir(exist_ok=True)
    if held.returncode or not valid(held.stdout):
        os.replace(lock, BROKEN)
        return f"{lock}: cut short, as by a kill; moved to {BROKEN}, and git holds none"
    with replacing(BROKEN) as draft:
        shutil.copyfile(lock, draft)
    with replacing(lock) as draft:
        draft.write_text(held.stdout)
    return f"{lock}: cut short, as by a kill; copied to {BROKEN}, and as in git again"


def git(*words):
    return subprocess.run(["git", *words], capture_output=True, text=True)


if __name__ == "__main__":
    run(main)
