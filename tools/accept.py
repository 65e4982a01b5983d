"""python -m tools.accept COMMIT

Prove a refactoring instead of recomputing the numbers: COMMIT holds the code that computed them, this
checkout the new code. Both run at smoke scale on this machine, each with an empty DVC cache, and go on after
a kill. New code is accepted if all code behind a committed number is among what ran (tools/covering.py), if
every output is the same to the bit, and if each new line ran in the new code and each line that is gone in
the old (tools/changes.py). The stage `code` then prints the digests of the old code for it.

reads   COMMIT; this checkout: sources, accepted.csv, requirements.txt; of each pipeline: params.yaml,
        dvc.yaml, dvc.lock, small.yaml
writes  accepted.csv, if all is proved: a row for each list of code of a pipeline; scratch/accept
"""

import os
import shutil
import subprocess
import sys
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import yaml

from specialists.base.command import output, run
from specialists.base.environment import machine
from specialists.base.files import replacing
from tools import changes, covering, small

ROOT = Path(__file__).resolve().parents[1]
WITNESS = Path(__file__).resolve().parent / "witness"


def main(commit: str):
    os.environ["CUDA_VISIBLE_DEVICES"] = ""  # two runs on a GPU need not make the same bits
    old = checkout(commit)
    pipelines = [covering.opened(ROOT, old, name) for name in folders() if (old / name / "dvc.yaml").exists()]
    stages = [(one, *each) for one in pipelines for each in covering.outdated(one)]
    if not stages:
        print(f"nothing to accept: no committed number that the code of {commit} computed has other code now")
        return
    for one, *_ in stages:
        if one.differs:
            raise ValueError(f"{one.differs} is not that of {commit}: compute the numbers again")
    needed = {key: f"{one.name}: {name}" for one, name, keys, _ in stages for key in keys}
    runs = covering.planned([one for one in pipelines if one.small and not one.differs], needed)
    files = {file for one, *_, lists in stages for each in lists for file in one.files(each)}
    files = sorted(file for file in files if text(old / file) != text(ROOT / file))
    texts = {tree: {file: text(tree / file) for file in files} for tree in (old, ROOT)}
    refuse_new_numbers(*texts.values())
    evidence = f"{proved(runs, old, texts)}; {described(machine())}"
    short = output("git", "rev-parse", "--short", "HEAD", folder=old).strip()
    rows = {(one.name, each, *one.digests(each)) for one, *_, lists in stages for each in lists}
    record(f"{','.join(row)},{short},{evidence}\n" for row in sorted(rows))
    print(f"{len(rows)} lists of code are accepted: {evidence}")


def checkout(commit):
    """The code of a commit, in a folder of its own; what an earlier proof left goes."""
    work = ROOT / "scratch/accept"
    shutil.rmtree(work, ignore_errors=True)
    output("git", "clone", "--quiet", "--shared", "--no-checkout", str(ROOT), str(work / "commit"))
    output("git", "checkout", "--quiet", commit, folder=work / "commit")
    return work / "commit"


def folders():
    paths = [ROOT / "dvc.yaml", *sorted(ROOT.glob("pipelines/*/dvc.yaml"))]
    return [path.parent.relative_to(ROOT).as_posix() for path in paths]


def text(path):
    return path.read_text() if path.exists() else ""


def refuse_new_numbers(then, now):
    """A constant may lie beyond what smoke scale reaches, where equal bits prove nothing."""
    known = Counter(number for source in then.values() for number in changes.numbers(source))
    for file, source in now.items():
        for number in changes.numbers(source):
            known[number] -= 1
            if known[number] < 0:
                raise ValueError(f"{file}: {number} is a new constant, which smoke scale may not reach")


def proved(runs, old, texts):
    """The evidence that old and new code do the same, or an error that names where they do not."""
    with ThreadPoolExecutor() as pool:
        (then, ran_then), (now, ran_now) = pool.map(lambda tree: repeated(tree, runs, texts), (old, ROOT))
    for before, after in zip(then, now, strict=True):
        if before != after:
            raise ValueError(f"{after[0]}: {after[1]}: was {before[2]}, is {after[2]} with the new code")
    for tree, other, ran, what in ((ROOT, old, ran_now, "new"), (old, ROOT, ran_then, "gone now")):
        for file, source in texts[tree].items():
            rows = {int(row) for path, row in ran if path == file}
            if row := changes.unrun(source, texts[other][file], rows):
                raise ValueError(f"{file}:{row}: this line is {what}, and never ran at smoke scale")
    names = " ".join(dict.fromkeys(one.name for one, *_ in runs))
    killed = len([*(ROOT / "scratch/accept/new").glob("*/scratch/witness/killed-*")])
    return f"{len(set(now))} outputs equal at smoke scale of {names}; {killed} stages went on after a kill"


def repeated(tree, runs, texts):
    """(pipeline, path, md5) of all that the code of a tree makes, and (file, row) of all lines that ran."""
    label, made, ran = "new" if tree == ROOT else "old", [], set()
    for one, params, targets in runs:
        copy = ROOT / "scratch/accept" / label / (Path(one.name).name or "root")
        notes = copy / "scratch/witness"
        if not copy.exists():
            small.prepare(tree, copy, one.name)
            notes.mkdir(parents=True)
            (notes / "files").write_text("\n".join(texts[tree]))
        if any(text(copy / file) != source for file, source in texts[tree].items()):
            raise ValueError(f"{tree}: edited meanwhile; begin again")
        (copy / one.name / "params.yaml").write_text(yaml.safe_dump(params, sort_keys=False))
        print(f"{label} code, {one.name}: {' '.join(targets)}", flush=True)
        repro(copy, one.name, notes, targets)
        lines = [line.split("  ", 1) for line in small.digests(copy / one.name).splitlines()]
        made += [(one.name, path, digest) for digest, path in lines]
        ran |= {tuple(line.rsplit(":", 1)) for line in text(notes / "lines").splitlines()}
    return made, ran


def repro(copy, name, notes, targets):
    """`dvc repro`, again after each kill."""
    env = os.environ | {"WITNESS": str(notes), "COPY": str(copy), "PYTHONPATH": f"{WITNESS}:{copy}"}
    env["PATH"] = f"{Path(sys.executable).parent}:{os.environ['PATH']}"
    env.pop("MLFLOW_TRACKING_URI", None)
    command, killed = ["dvc", "repro", *targets], sorted(notes.glob("killed-*"))
    with open(notes / "log", "a") as log:
        while subprocess.run(command, cwd=copy / name, env=env, stdout=log, stderr=log).returncode:
            if killed == (killed := sorted(notes.glob("killed-*"))):
                raise ValueError(f"{copy / name}: dvc repro failed; see {log.name}")


def described(computer):
    """A machine in one word after another, without commas."""
    words = [computer["processor"], *computer["capabilities"], "torch", computer["torch"]]
    return " ".join(words).replace(",", "")


def record(rows):
    path = ROOT / "accepted.csv"
    with replacing(path) as draft:
        draft.write_text(path.read_text() + "".join(rows))


if __name__ == "__main__":
    run(main)
