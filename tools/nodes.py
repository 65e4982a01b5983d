"""What a node of the cluster does: one stage, in a clone without data, with the node's own cache of DVC.

tools.cluster ships this file to the nodes, so it imports nothing of ours. A node needs the environment
(`pip install .[cluster]`) and a folder, but no checkout:

    SPECIALISTS_NODE     where its cache of DVC is; ~/.cache/specialists if not set
    SPECIALISTS_SCRATCH  where checkpoints are, on storage that all nodes share; in the first if not set
"""

import fcntl
import io
import os
import platform
import subprocess
import sys
import tarfile
import time
from contextlib import nullcontext
from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from tempfile import TemporaryDirectory

import yaml

DECIDE = ("torch", "numpy", "dvc")  # packages whose version can change bytes
# Ray passes on the head's PYTHONPATH, and sets OMP_NUM_THREADS to num_cpus: other sums, other md5.
DROPPED = ("DVC_", "GIT_", "RAY_", "PYTHON", "OMP_NUM_THREADS")
PUSHES = 3  # attempts, for a remote may be away for a moment
SAID = 20_000  # characters of what a failing stage printed, the last


@dataclass(frozen=True)
class Job:
    """A stage, and all that it needs of the head; the rest is in the tree of the commit or in DVC's remote."""

    name: str
    folder: str  # of the pipeline, in the tree
    settings: dict  # section -> settings of DVC: its remotes
    pulls: list[str]  # inputs that the cache holds
    files: dict[str, bytes]  # inputs that git holds, as they are on the head
    lock: dict  # the entries of the stages that it reads from, and its own
    kept: list[str]  # its outputs that git holds


class Failed(Exception):
    """What failed (fetching, the stage, pushing), and what was printed."""


class Board:
    """What runs where, as nodes say it."""

    def __init__(self):
        self.places = {}

    def begins(self, name, node):
        self.places[name] = node

    def all(self):
        return self.places


def run(job, tree, board):
    """Compute a stage; returns its entry of dvc.lock, what git keeps of it, where and how long."""
    import ray  # the head plans without it

    node = ray.get_runtime_context().get_node_id()
    board.begins.remote(job.name, node)
    home = Path(os.getenv("SPECIALISTS_NODE") or Path.home() / ".cache/specialists")
    home.mkdir(parents=True, exist_ok=True)
    sweep(home)
    report = {"name": job.name, "node": node, "processor": processor()}
    with TemporaryDirectory(prefix=f"{mine()}{os.getpid()}-", dir=home, ignore_cleanup_errors=True) as clone:
        try:
            return report | compute(job, lay(clone, tree, job, home / "cache"), home, clone)
        except Failed as error:
            what, said = error.args
            return report | {"failed": what, "said": said[-SAID:]}


def compute(job, place, home, top):
    marks, env = [time.monotonic()], environment(top)
    unlike(top)
    scratch = Path(os.getenv("SPECIALISTS_SCRATCH") or home / "scratch", Path(job.folder).name or "root")
    scratch.mkdir(parents=True, exist_ok=True)
    (place / "scratch").symlink_to(scratch)
    if job.pulls:
        with nullcontext() if cached(job, home / "cache") else held(home / "pull.lock"):
            dvc("fetching", place, env, "pull", "--quiet", *job.pulls)
    marks.append(time.monotonic())
    # Its outputs of before may be away, and its outputs without a cache would keep it out of the run-cache.
    words = ["--single-item", "--no-run-cache", "--allow-missing", job.name]
    dvc("the stage", place, env, "repro", *words)
    entry = yaml.safe_load((place / "dvc.lock").read_text())["stages"][job.name]
    if missing := [out["path"] for out in entry.get("outs", []) if "md5" not in out]:  # which DVC then allows
        raise Failed("the stage", f"did not write {', '.join(missing)}")
    marks.append(time.monotonic())
    if entry != job.lock.get(job.name):
        push(place, env, job.name)
    marks.append(time.monotonic())
    made, kept = (
        read(place, ["metrics"]),
        read(place, job.kept),
    )  # of the first, metrics/environment is in no lock
    made = {path: text for path, text in made.items() if job.files.get(path) != text}
    return {
        "lock": entry,
        "files": made | kept,
        "seconds": [b - a for a, b in zip(marks, marks[1:], strict=False)],
    }


def lay(top, tree, job, cache):
    """The tree of the commit, with what is newer on the head; returns the pipeline's folder in it."""
    with tarfile.open(fileobj=io.BytesIO(tree)) as archive:
        archive.extractall(top, filter="data")
    place = Path(top, job.folder)
    write(place, job.files)
    (place / "dvc.lock").write_text(yaml.safe_dump({"schema": "2.0", "stages": job.lock}, sort_keys=False))
    ours = {"core": {"no_scm": "true", "analytics": "false", "site_cache_dir": f"{top}/.site"}}
    ours |= {"cache": {"dir": str(cache), "type": "hardlink,symlink"}}
    configure(place, job.settings, ours)
    return place


def configure(place, *settings):
    """DVC's settings of a clone; its state is inside, for what is beside outlives it."""
    from configobj import ConfigObj

    file = ConfigObj(encoding="utf-8", write_empty_values=True)
    for each in settings:
        file.merge(each)
    file.filename = str(place / ".dvc/config.local")
    file.write()


def environment(top):
    """What a stage sees: the code of its clone, no Ray."""
    ours = {key: value for key, value in os.environ.items() if not key.startswith(DROPPED)}
    path = f"{Path(sys.executable).parent}:{os.environ['PATH']}"
    return ours | {"PATH": path, "PYTHONPATH": str(top), "PYTHONDONTWRITEBYTECODE": "1"}


def dvc(what, place, env, *words):
    command = [sys.executable, "-m", "dvc", *words]
    done = subprocess.run(
        command, cwd=place, env=env, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
    )
    if done.returncode:
        raise Failed(what, done.stdout.strip())


def push(place, env, name):
    for attempt in range(PUSHES):
        try:
            return dvc("pushing", place, env, "push", "--quiet", name)
        except Failed:
            if attempt == PUSHES - 1:
                raise
            time.sleep(2**attempt)


def cached(job, cache):
    """Whether all inputs have been fetched before; who comes while another fetches them waits for it."""
    outs = {out["path"]: out.get("md5", "") for entry in job.lock.values() for out in entry.get("outs", [])}
    wanted = [outs.get(path) for path in job.pulls]
    return all(md5 and (cache / "files/md5" / md5[:2] / md5[2:]).exists() for md5 in wanted)


def held(path):
    file = open(path, "w")
    fcntl.flock(file, fcntl.LOCK_EX)
    return file  # which lets go when it is closed


def read(root, paths):
    """{path: content} of files, and of those in folders."""
    found = [
        each
        for path in paths
        for each in ([root / path] if (root / path).is_file() else (root / path).rglob("*"))
    ]
    return {str(each.relative_to(root)): each.read_bytes() for each in found if each.is_file()}


def write(root, files):
    for path, content in files.items():
        (root / path).parent.mkdir(parents=True, exist_ok=True)
        (root / path).write_bytes(content)


def mine():
    return f"stage-{platform.node()}-"


def sweep(home):
    """Remove the clones of this machine whose worker was killed."""
    import shutil

    for clone in home.glob(f"{mine()}*"):
        pid = clone.name.removeprefix(mine()).split("-")[0]
        if not Path("/proc", pid).exists():
            shutil.rmtree(clone, ignore_errors=True)


def unlike(top):
    """Refuse a node on which a package that can change bytes has another version."""
    lines = Path(top, "requirements.txt").read_text().splitlines()
    pins = dict(line.split("#")[0].strip().split("==") for line in lines if "==" in line)
    for name in DECIDE:
        try:
            here = version(name).split("+")[0]
        except PackageNotFoundError:
            here = "none"
        if here != pins[name]:
            raise Failed(
                "the stage", f"{platform.node()} has {name} {here}, requirements.txt says {pins[name]}"
            )


def processor():
    info = Path("/proc/cpuinfo")
    lines = info.read_text().splitlines() if info.exists() else []
    return next(
        (line.split(":", 1)[1].strip() for line in lines if line.startswith("model name")), platform.machine()
    )
