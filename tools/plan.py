"""What of a pipeline is not up to date, found without data: in a clone with what git holds, and dvc.lock.

What lies in the workspace of the head may be older than dvc.lock, or not there. DVC compares each stage with
its entry; where an input is away, it counts as what dvc.lock says that its maker made.
"""

import json
import os
from contextlib import chdir, suppress
from dataclasses import dataclass, replace
from hashlib import md5
from pathlib import Path

import yaml

from specialists.tracking import pipeline
from tools import nodes


@dataclass(frozen=True)
class Step:
    """A stage among all that a target follows from, in the order of a serial `dvc repro`."""

    name: str
    needs: set[str]  # stages whose outputs it reads
    pulls: list[str]  # inputs that the cache holds
    sends: list[str]  # inputs that the head holds
    kept: list[str]  # outputs that git holds
    first: bool  # always changed and cheap, like `code`: on the head, before all others
    last: bool  # without outputs, like `track`, which writes to MLflow: on the head, after all others
    stale: bool
    lost: bool = False  # up to date, but nobody holds an output of it that is to be read


def plan(place, head, targets):
    """The steps of a pipeline, of which `place` is the clone and `head` the workspace."""
    from dvc.exceptions import DvcException
    from dvc.repo import Repo
    from dvc.repo.reproduce import collect_stages, get_active_graph, plan_repro

    with chdir(place), Repo(place) as repo:
        nodes.write(place, nodes.read(head, {path for each in repo.index.stages for path in kept(each)}))
        graph = get_active_graph(repo.index.graph)
        try:
            order = plan_repro(graph, collect_stages(repo, targets or ["dvc.yaml"]))
        except DvcException as error:
            kinds = dict.fromkeys(each.addressing.split("@")[0] for each in repo.index.stages)
            raise ValueError(f"TARGET: {error}; known: {', '.join(kinds)}") from None
        steps = {}
        with repo.lock:
            for stage in order:
                needs = [*graph.successors(stage)]
                steps[stage.addressing] = step(stage, needs, steps, repo.dvcfs)
        for name in lost(order, graph, steps, Stores(repo)):
            steps[name] = replace(steps[name], stale=True, lost=True)
        return steps


def lost(order, graph, steps, stores):
    """Stages whose outputs will be read, and which neither the remote nor the head has: to compute again."""
    found = set()
    for stage in reversed(order):  # readers before what they read
        one = steps[stage.addressing]
        for maker in graph.successors(stage) if (one.stale and not one.last) or one.name in found else ():
            read = [out for out in maker.outs if out.use_cache and touches(out.def_path, one.pulls)]
            if not steps[maker.addressing].stale and not all(map(stores.hold, read)):
                found.add(maker.addressing)
    return found


class Stores:
    """The head's cache and the remote."""

    def __init__(self, repo):
        self.places, self.known = (repo.cache.local, repo.cloud.get_remote_odb()), {}

    def hold(self, out):
        """Of a folder its list is asked for, which DVC stores after its files."""
        name = out.hash_info.value
        if name not in self.known:
            self.known[name] = True
            with suppress(Exception):  # each kind of remote has its own; if it is away, lending says so
                self.known[name] = any(place.exists(name) for place in self.places)
        return self.known[name]


def step(stage, needs, steps, data):
    """What is known of a stage after all that it needs."""
    cached = {out.def_path: each for each in needs for out in each.outs if out.use_cache}
    made = {path for path, each in cached.items() if not each.always_changed}
    inputs = [dep.def_path for dep in stage.deps]
    pulls = {
        path if within(path, out) else out
        for path in inputs
        for out in made
        if within(path, out) or within(out, path)
    }
    ours = {out.def_path for each in needs for out in each.outs} - made
    sends = {path for path in inputs if touches(path, ours)}
    stale = not stage.always_changed and (
        any(steps[each.addressing].stale for each in needs)
        or stage.changed(allow_missing=True, upstream=needs)
        or any(torn(dep, made, data) for dep in stage.deps)
    )
    return Step(
        name=stage.addressing,
        needs={each.addressing for each in needs},
        pulls=sorted(pulls),
        sends=sorted(sends),
        kept=kept(stage),
        first=stage.always_changed,
        last=not stage.outs,
        stale=stale,
    )


def part(kinds, stages, names):
    """A dvc.yaml of these stages, perhaps with more of their kinds: DVC takes seconds to read the whole.

    Of names that are none of its stages, as of a file of `dvc add`, it holds nothing.
    """
    items = {}
    for name in filter(stages.get, names):
        items.setdefault(name.partition("@")[0], []).append(stages[name]["item"])
    found = {
        kind: kinds[kind] | ({"matrix": {axis: spread(axis, some) for axis in some[0]}} if some[0] else {})
        for kind, some in items.items()
    }
    return yaml.safe_dump({"stages": found}, sort_keys=False).encode()


def spread(axis, items):
    return [*{str(item[axis]): item[axis] for item in items}.values()]


def touches(path, others):
    return any(within(path, each) or within(each, path) for each in others)


def kept(stage):
    return [out.def_path for out in stage.outs if not out.use_cache]


def within(path, folder):
    return path == folder or path.startswith(f"{folder}/")


def torn(dep, made, data):
    """Whether an input is a folder of several outputs, or a part of one, and not what its makers made.

    A run that was killed between a stage and those after it leaves it so; DVC compares whole outputs alone.
    """
    path = dep.def_path
    if path in made or not touches(path, made):
        return False
    if not data.isdir(path):
        return data.info(path).get("md5") != dep.hash_info.value
    files = sorted(data.find(path))
    listed = [{"md5": data.info(file)["md5"], "relpath": os.path.relpath(file, path)} for file in files]
    return f"{md5(json.dumps(listed).encode(), usedforsecurity=False).hexdigest()}.dir" != dep.hash_info.value


def sources(stages):
    """The files of a pipeline that no stage makes: with the code, what decides its numbers."""
    paths = [pipeline.paths(stage) for stage in stages.values()]
    outs = {out for each in paths for out in each["outs"]}
    deps = {dep for each in paths for dep in each["deps"]}
    return sorted(dep for dep in deps if not touches(dep, outs))


def settings(folder):
    """The remotes of DVC as they are set on the head, from whatever file of its settings."""
    from dvc.config import Config

    config = Config(str(Path(folder, ".dvc")))
    name = config["core"].get("remote")
    if not name:
        raise ValueError(
            "DVC has no remote, through which nodes get and give data; for instance "
            "dvc remote add --local --default storage s3://BUCKET/FOLDER, or a folder that all nodes see"
        )
    remotes = {f'remote "{each}"': values for each, values in config["remote"].items()}
    return {"core": {"remote": name}} | remotes
