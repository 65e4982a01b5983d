"""The stages of a pipeline at smoke scale, as dvc.yaml says, one after the other without DVC."""

import json
import os
from hashlib import md5

import yaml

from specialists.tracking import code, pipeline
from tests import ready
from tests.conftest import ROOT, run
from tools import small

SOURCES = f"{ROOT}/stages/", f"{ROOT}/specialists/"


def asked(source, folder, params, kinds):
    """Stage of the pipeline `source` -> it, and where it runs and its words, in the order of `kinds`."""
    (folder / "params.yaml").write_text(yaml.safe_dump(params))
    stages = pipeline.resolved(pipeline.stages(source / "dvc.yaml"), params)
    chosen = {name: stage for name, stage in stages.items() if name.split("@")[0] in kinds}
    ordered = sorted(chosen, key=lambda name: kinds.index(name.split("@")[0]))
    return {name: (chosen[name], [folder, *chosen[name]["cmd"].split()]) for name in ordered}


def follow(lines):
    for folder, *words in lines:
        (folder / "loaded").mkdir(exist_ok=True)
        run(folder, *words, LOADED=str(folder / "loaded"), CHECKOUT=str(ROOT))


def declares(folder, stages, params):
    """Each kind of stage has named the code that it loaded and the params that it read, and no others."""
    lists = code.lists(ROOT, params)
    for name in {name.split("@")[0]: name for name in stages}.values():  # IE does not load its own file
        stage = stages[name]
        files, sections = ready.noted(folder / "loaded", stage["cmd"])
        inside = {os.path.relpath(file, ROOT) for file in files if file and file.startswith(SOURCES)}
        loaded = {path for path in inside if code.meaning((ROOT / path).read_text())} - code.HARMLESS
        named = pipeline.listed(pipeline.paths(stage)["deps"])
        own = f"{stage['cmd'].split()[2].replace('.', '/')}.py"
        wanted = set().union(*(lists[each][1] for each in named))
        assert (loaded | {own}) ^ wanted == set(), name
        declared = {*stage["params"]}
        assert all(any(f"{s}.".startswith(f"{p}.") for p in declared) for s in sections), (name, sections)
        declared.discard("compute")  # its mode is read in stages/__init__.py
        assert all(any(f"{s}.".startswith(f"{p}.") for s in sections) for p in declared), (name, sections)


def as_recorded(folder, stages, source, least):
    """All that was declared is there, with the bits that were recorded on another machine."""
    lines = (ROOT / small.RECORDS / f"{source.name}.md5").read_text().splitlines()
    recorded = dict(reversed(line.split("  ")) for line in lines)
    made = {path for stage in stages.values() for path in pipeline.paths(stage)["outs"]}
    assert all((folder / path).exists() for path in made)
    files = [path for path in sorted(made & recorded.keys()) if (folder / path).is_file()]
    assert len(files) > least
    differ = [path for path in files if md5((folder / path).read_bytes()).hexdigest() != recorded[path]]
    hint = f"if they were meant to change, python -m tools.small {source.relative_to(ROOT)} --record"
    assert not differ, f"the first is {differ[0]}; {hint} writes them down anew"


def read(path):
    return json.loads(path.read_text())
