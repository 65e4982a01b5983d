"""python -m tools.small FOLDER [--fresh] [--record]

Run a pipeline at smoke scale: that of FOLDER (`.` is the root's, pipelines/cifar100 another), with small.yaml
laid over params.yaml, in a copy of this checkout in scratch/small, stages side by side as in tools.reproduce.
The copy is made anew, but keeps its DVC cache and metrics/environment, so that unchanged stages are not
computed again. --fresh computes them. --record implies --fresh, and writes down the md5 of every output,
which the tests compare on every machine.

reads   the checkout: what git tracks or does not ignore; params.yaml, small.yaml
writes  scratch/small/NAME: all of the pipeline; with --record tests/portable/NAME.md5
"""

import math
import os
import re
import shutil
import sys
from contextlib import chdir
from copy import deepcopy
from pathlib import Path

import yaml

from specialists.base.command import output, run
from specialists.base.files import replacing
from specialists.base.params import load
from specialists.tracking import pipeline
from tools import reproduce

ROOT = Path(__file__).resolve().parents[1]
RECORDS = "tests/portable"
NUMBERS = re.compile(r"(?P<folder>.*/)?(dvc\.lock|metrics/(?P<file>.*))")
UNEQUAL = ("code", "students", "slides", "sparse")  # stages whose outputs may differ from run to run
OF_PAGES = re.compile(r"(table|slides|sparse|specialties/\w+|paired/\w+)\.\w+")  # what pages show


def main(folder: str, *, fresh: bool = False, record: bool = False):
    folder = inside(folder)
    name = Path(folder).name or "root"
    if record and load(ROOT / folder / "params.yaml")["compute"]["mode"] != "portable":
        raise ValueError(f"FOLDER: {folder!r} is not portable: its bits differ from machine to machine")
    copy = ROOT / "scratch/small" / name
    if fresh or record:
        shutil.rmtree(copy, ignore_errors=True)
    place = prepare(ROOT, copy, folder)
    repro(place)
    print(f"the table: {place.relative_to(ROOT)}/metrics/table.md")
    if record:
        with replacing(ROOT / RECORDS / f"{name}.md5") as draft:
            draft.write_text(digests(place))


def inside(folder):
    """A folder as seen from the root, however it was given."""
    path = Path(folder).resolve()
    if not path.is_relative_to(ROOT):
        raise ValueError(f"FOLDER: {folder!r} is not in {ROOT}")
    return path.relative_to(ROOT).as_posix()


def prepare(source, copy, folder):
    """Make `copy` anew from the checkout `source`; returns the place in it of the pipeline of `folder`."""
    source, copy = Path(source), Path(copy)
    params = overlaid(source / folder)
    copy.mkdir(parents=True, exist_ok=True)
    _empty(copy, (copy / ".dvc/cache", copy / folder / "metrics/environment"))
    listed = output("git", "ls-files", "-z", "--cached", "--others", "--exclude-standard", folder=source)
    for name in filter(None, listed.split("\0")):
        if (source / name).exists() and not _left_out(name, folder):
            (copy / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy2(source / name, copy / name, follow_symlinks=False)
    (copy / folder / "params.yaml").write_text(yaml.safe_dump(params, sort_keys=False))
    output("git", "init", "--quiet", folder=copy)  # without, DVC sees that scratch/ is ignored and refuses
    return copy / folder


def _empty(folder, kept):
    """Remove all that is neither kept nor around it."""
    for path in folder.iterdir():
        if any(path in each.parents for each in kept):
            _empty(path, kept)
        elif path not in kept:
            shutil.rmtree(path) if path.is_dir() and not path.is_symlink() else path.unlink()


def _left_out(name, folder):
    """Whether a file is a number: of this pipeline, or of another one and in no page."""
    number = NUMBERS.fullmatch(name)
    if not number:
        return False
    ours = Path(number["folder"] or ".") == Path(folder)
    return ours or not OF_PAGES.fullmatch(number["file"] or "")


def overlaid(folder):
    """params.yaml with small.yaml laid over it."""
    path = folder / "small.yaml"
    try:
        over = yaml.safe_load(path.read_text())
    except FileNotFoundError:
        known = sorted(str(each.parent.relative_to(ROOT)) for each in ROOT.glob("pipelines/*/small.yaml"))
        raise ValueError(f"{path}: not found; known: ., {', '.join(known)}") from None
    except yaml.YAMLError as error:
        raise ValueError(f"{path}: not YAML: {error}") from None
    return merged(load(folder / "params.yaml"), over, path)


def merged(tree, over, place, fixed=math.inf):
    """A tree with the values of `over`: mapping into mapping, anything else in place of what was there.

    As many levels deep as `fixed`, it has no keys but those of the tree.
    """
    if not isinstance(tree, dict) or not isinstance(over, dict):
        if isinstance(tree, dict) or isinstance(over, dict):
            raise ValueError(f"{place}: found {over!r}, where params.yaml has {tree!r:.100}")
        return deepcopy(over)
    for key in over:
        if key not in tree and fixed > 0:
            raise ValueError(f"{place}: {key}: is not in params.yaml; known: {', '.join(map(str, tree))}")
    below = {key: merged(tree.get(key, over[key]), over[key], f"{place}: {key}", fixed - 1) for key in over}
    return tree | below


def repro(place):
    """What ./reproduce does, in a small pipeline; what it logs to MLflow stays there."""
    os.environ["PATH"] = environment()["PATH"]
    os.environ.pop("MLFLOW_TRACKING_URI", None)
    with chdir(place):
        reproduce.compute(timed=())


def environment(**more):
    """This process's environment, with its own dvc; what a copy logs to MLflow stays in the copy."""
    env = os.environ | {"PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}"} | more
    env.pop("MLFLOW_TRACKING_URI", None)
    return env


def digests(place):
    """A line for each output that dvc.lock names: its md5 and its path.

    Left out are lists of code, and tables that show how long something took.
    """
    lock = pipeline.stages(place / "dvc.lock")
    made = [out for name, stage in lock.items() if name not in UNEQUAL for out in stage.get("outs", [])]
    return "".join(f"{out['md5']}  {out['path']}\n" for out in sorted(made, key=lambda out: out["path"]))


if __name__ == "__main__":
    run(main)
