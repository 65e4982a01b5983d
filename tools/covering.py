"""Which committed numbers other code would compute now, and which stages at smoke scale run the same code.

Two stages run the same code if they are of one kind, depend on the same lists of code, and find the same
words in the rows of params.yaml that they read. Of numbers only k chooses code: one member learns an example,
several do, or all. What a compiler makes depends on kind, network and arithmetic, not on the method.
"""

import json
from dataclasses import dataclass
from hashlib import md5

import yaml

from specialists.base.params import load
from specialists.tracking import code, pipeline
from tools import small

WORDS = ("networks.", "methods.", "distill.methods.", "data.format")


@dataclass(frozen=True, eq=False)
class Pipeline:
    """A pipeline's folder; of COMMIT and of now, the lists of code and what `code` shows for each."""

    name: str
    differs: str  # what else than code differs, if anything does
    params: dict
    small: dict
    stages: dict
    lock: dict
    lists: list
    shown: list

    def digests(self, each):
        """The digest that COMMIT shows for a list, and that of the new code."""
        return self.shown[0][each], self.lists[1][each][0]

    def files(self, each):
        return {file for lists in self.lists for file in lists[each][1]}


def opened(root, old, name):
    folder, trees = root / name, (old, root)
    lists = [code.lists(tree, load(tree / name / "params.yaml")) for tree in trees]
    known = [code.accepted(tree, name) for tree in trees]
    return Pipeline(
        name=name,
        differs=difference(root, old, name),
        params=load(folder / "params.yaml"),
        small=small.overlaid(folder) if (folder / "small.yaml").exists() else {},
        stages=pipeline.stages(folder / "dvc.yaml"),
        lock=pipeline.stages(folder / "dvc.lock") if (folder / "dvc.lock").exists() else {},
        lists=lists,
        shown=[
            {each: before.get((each, digest), digest) for each, (digest, _) in found.items()}
            for before, found in zip(known, lists, strict=True)
        ],
    )


def difference(root, old, name):
    """The first of the files that must say the same and do not."""
    for path in ("requirements.txt", f"{name}/params.yaml", f"{name}/small.yaml", f"{name}/dvc.yaml"):
        if said(old / path) != said(root / path):
            return path.removeprefix("./")
    return ""


def said(path):
    """A file's content without what only people read."""
    text = path.read_text() if path.exists() else ""
    if path.suffix != ".yaml":
        return text
    tree = yaml.load(text, getattr(yaml, "CSafeLoader", yaml.SafeLoader))
    if path.name == "dvc.yaml":
        for stage in tree["stages"].values():
            stage.pop("desc", None)
    return tree


def outdated(one):
    """(name, keys, lists) of each committed stage that the code of COMMIT computed and other code would now.

    The lists are those that differ. Where there is no output there is no number.
    """
    live, (then, now) = pipeline.resolved(one.stages, one.params), one.shown
    for name, stage in one.lock.items():
        made_from = {dep["path"]: dep["md5"] for dep in stage.get("deps", [])}
        lists = listed(made_from)
        theirs = all(each in then and named(then[each]) == made_from[f"code/{each}.txt"] for each in lists)
        moved = [each for each in lists if each in now and then[each] != now[each]] if theirs else []
        if name in live and stage.get("outs") and moved:
            yield name, keys(one, stage["cmd"], lists, pipeline.decided(stage)), moved


def named(digest):
    """The md5 by which dvc.lock knows a list."""
    return md5(f"{digest}\n".encode(), usedforsecurity=False).hexdigest()


def listed(paths):
    """The lists of code among paths that a stage reads."""
    return [path[len("code/") : -len(".txt")] for path in paths if path.startswith("code/")]


def keys(one, command, lists, params):
    """What two stages that run the same code share: one key of what is said, one of how it is computed."""
    _, _, kind, *words = command.split()
    k = learners(one, *words[1:3], params["table.members"]) if kind == "stages.specialize" else None
    rows = sorted(json.dumps(wording(value)) for name, value in params.items() if name.startswith(WORDS))
    digests = frozenset(one.shown[0][each] for each in lists)
    network = frozenset(one.shown[0][each] for each in lists if not each.startswith("methods/"))
    compute = json.dumps(params["compute"]) if "compute" in params else None
    return (kind, k, digests, *rows), (kind, k == "all", network, compute)


def learners(one, method, k, members):
    """How many members learn an example, as far as code can tell: 1, 2 for several, or all."""
    table = one.params["table"]
    generalist = "generalists" in table and method in table["generalists"]
    return "all" if generalist or k in ("all", str(len(members))) else min(int(k), 2)


def wording(value):
    if isinstance(value, dict):
        return {key: wording(inner) for key, inner in sorted(value.items())}
    return 0 if type(value) in (int, float) else value


def planned(pipelines, needed):
    """(pipeline, params, what dvc shall reproduce), until every key is covered; `needed`: key -> a stage."""
    left, runs = dict(needed), []
    for scale in (as_it_is, with_every_row, with_own_arithmetic):
        for one in pipelines:
            params, names = scale(one), []
            for name, stage in pipeline.resolved(one.stages, params).items():
                lists = listed(pipeline.paths(stage)["deps"])
                read = {path: pipeline.section(params, path) for path in stage.get("params", [])}
                both = keys(one, stage["cmd"], lists, read)
                if both[0] in needed and left.keys() & both:
                    names.append(name)
                    left = {key: left[key] for key in left.keys() - both}
            if names:
                alone = ["--single-item"] if scale is with_own_arithmetic else []  # of what is there by now
                runs.append((one, params, [*alone, *names]))
    if left:
        raise ValueError(f"{min(left.values())}: no stage at smoke scale runs the same code")
    return runs


def as_it_is(one):
    return one.small


def with_every_row(one):
    """All networks and rows of the table; of three members one or two learn an example."""
    table = one.params["table"] | {axis: one.small["table"][axis] for axis in ("members", "seeds")}
    if "ks" in table:
        members, ks = one.params["table"]["members"][:3], table["ks"][:2]
        table |= {"networks": [*one.params["networks"]], "members": members, "ks": ks}
    return one.small | {"table": table}


def with_own_arithmetic(one):
    return one.small | {"compute": one.params["compute"]}
