"""What a node of the cluster does: one stage, in a clone without data, with the node's own cache of DVC.

tools.cluster ships this file to the nodes, so it imports nothing of ours. A node needs the environment
(`pip install .[cluster]`) and a folder, but no checkout:

    SPECIALISTS_NODE     where its cache of DVC is; ~/.cache/specialists if not set
    SPECIALISTS_SCRATCH  where checkpoints are, on storage that all nodes share; in the first if not set
"""

import io
import json
import os
import platform
import subprocess
import sys
import tarfile
from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from subprocess import PIPE, STDOUT
from tempfile import TemporaryDirectory

import yaml

DECIDE = ("torch", "numpy", "dvc")  # packages whose version can change bytes
# Ray passes on the head's PYTHONPATH, and sets OMP_NUM_THREADS to num_cpus: other sums, other md5.
DROPPED = ("DVC_", "GIT_", "RAY_", "PYTHON", "OMP_NUM_THREADS")
SAID = 20_000  # characters of what a failing stage printed, the last


@dataclass(frozen=True)
class Job:
    """A stage, and what it needs of the head; the rest is in the tree of the commit or DVC's remote."""

    name: str
    folder: str  # of the pipeline, in the tree
    settings: dict  # section -> settings of DVC: its remotes
    pulls: list[str]  # inputs that the cache holds
    files: dict[str, bytes]  # inputs that git holds, as they are on the head
    lock: dict  # the entries of the stages that it reads from, and its own
    kept: list[str]  # its outputs that git holds


class Board:
    """What runs where, as nodes say it."""

    def __init__(self):
        self.places = {}

    def begins(self, name, node):
        self.places[name] = node

    def all(self):
        return self.places


def run(job, tree, board):
    """Compute a stage; returns its entry of dvc.lock, what git keeps of it, where and how long it ran."""
    import ray  # the head plans without it

    node = ray.get_runtime_context().get_node_id()
    board.begins.remote(job.name, node)
    home = Path(os.getenv("SPECIALISTS_NODE") or Path.home() / ".cache/specialists")
    home.mkdir(parents=True, exist_ok=True)
    sweep(home)
    prefix = f"{mine()}{os.getpid()}-"
    with TemporaryDirectory(prefix=prefix, dir=home, ignore_cleanup_errors=True) as top:
        place = lay(top, tree, job, home / "cache")
        return {"node": node, "processor": processor()} | (unlike(top) or attempt(job, place, home, top))


def attempt(job, place, home, top):
    scratch = Path(os.getenv("SPECIALISTS_SCRATCH") or home / "scratch", Path(job.folder).name or "root")
    scratch.mkdir(parents=True, exist_ok=True)
    (place / "scratch").symlink_to(scratch)
    command = [sys.executable, "-m", "tools.attempt", job.name, *job.pulls]
    env, said = environment(top) | {"NODE_CACHE": str(home / "cache")}, {"stdout": PIPE, "stderr": STDOUT}
    done = subprocess.run(command, cwd=place, env=env, text=True, **said)
    report = place / "attempt.json"
    found = json.loads(report.read_text()) if report.exists() else {"failed": "the stage"}
    if found["failed"]:
        return {"failed": found["failed"], "said": done.stdout[-SAID:]}
    entry = yaml.safe_load((place / "dvc.lock").read_text())["stages"][job.name]
    # Where metrics/environment is among what a stage writes, no lock says.
    made = {path: text for path, text in read(place, ["metrics"]).items() if job.files.get(path) != text}
    return {"lock": entry, "files": made | read(place, job.kept), "seconds": found["seconds"]}


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
        file.merge({name: {k: str(v) for k, v in section.items()} for name, section in each.items()})
    file.filename = str(place / ".dvc/config.local")
    file.write()


def environment(top):
    """What a stage sees: the code of its clone, no Ray."""
    ours = {key: value for key, value in os.environ.items() if not key.startswith(DROPPED)}
    path = f"{Path(sys.executable).parent}:{os.environ['PATH']}"
    return ours | {"PATH": path, "PYTHONPATH": str(top), "PYTHONUNBUFFERED": "1"}


def read(root, paths):
    """{path: content} of files, and of those in folders."""
    tops = [root / path for path in paths]
    found = [each for top in tops for each in ([top] if top.is_file() else top.rglob("*"))]
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
    """In what a node computes unlike others: a package that can change bytes has another version there."""
    lines = Path(top, "requirements.txt").read_text().splitlines()
    pins = dict(line.split("#")[0].strip().split("==") for line in lines if "==" in line)
    for name in DECIDE:
        try:
            here = version(name).split("+")[0]
        except PackageNotFoundError:
            here = "none"
        if here != pins[name]:
            said = f"{platform.node()} has {name} {here}, requirements.txt says {pins[name]}"
            return {"failed": "its node", "said": said}


def processor():
    info = Path("/proc/cpuinfo")
    lines = info.read_text().splitlines() if info.exists() else []
    names = [line.split(":", 1)[1].strip() for line in lines if line.startswith("model name")]
    return names[0] if names else platform.machine()
