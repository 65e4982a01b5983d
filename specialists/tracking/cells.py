"""The results in a pipeline's folder: each cell, with its numbers and all that they came from."""

import re
from dataclasses import dataclass
from pathlib import Path

from specialists.tables.rows import cell
from specialists.tables.table import NUMBERS, number
from specialists.tracking import pipeline
from specialists.tracking.pipeline import content

MACHINE = ("processor", "system", "python", "torch", "threads")
PORTABLE = ("torch",)  # what of a machine can still decide a number of a portable stage


@dataclass(frozen=True)
class State:
    """The results in the pipeline's folder, now or at a commit."""

    dataset: str
    table: dict
    page: str
    rows: dict  # the cells of the table: title -> what its run shows
    chosen: dict  # the same of the cell lane
    singles: dict  # the same of networks that train alone

    @property
    def best(self):
        """The first cell of the row with the highest top-1."""
        return max(self.rows, key=lambda title: self.means(title)["top1"])

    def means(self, title):
        """The means over the seeds of a cell's row."""
        report = self.table[title.rpartition("-s")[0]]["report"]
        return {each: report[each]["mean"] for each in NUMBERS if each in report}

    @property
    def params(self):
        """The params of the best row; the table's run stands for it when compared with cells."""
        return self.rows[self.best]["params"] | {"cell.seed": "all"}

    @property
    def metrics(self):
        """The means of the best row, and top-1 and oracle of every row, with their deviations."""
        return self.means(self.best) | {  # top-1 first: the compare page opens with it
            f"rows/{title} {each} {part}": value
            for title, row in self.table.items()
            for each in ("top1", "oracle")
            for part, value in row["report"][each].items()
            if value is not None
        }

    @property
    def inputs(self):
        """What all cells came from."""
        return {title: row["inputs"] for title, row in self.rows.items()}


def shown(read):
    """The state whose files `read` gives as text."""
    lock = pipeline.stages("dvc.lock", read("dvc.lock"))
    try:
        table, rows, chosen, singles = content(read, "metrics/table.json"), {}, {}, {}
        made = pipeline.makers(lock)
        sources = pipeline.sources({name: pipeline.locked(stage) for name, stage in lock.items()})
        for path in made:
            place = re.fullmatch(r"metrics/(cells/(.+)-s(\d+))\.json", path)
            if place and place[2] in table:
                row = table[place[2]]
                each = row["network"], row["method"], row["k"], int(place[3])
                rows[cell(*each)] = contents(lock, made, sources, read, place[1], *each)
            if place := re.fullmatch(r"metrics/(singles/(.+-s\d+))\.json", path):
                singles[place[2]] = single(lock, made, sources, read, place[1], place[2])
        if each := lane(lock, read):
            chosen[f"{cell(*each)} (cell)"] = contents(lock, made, sources, read, "cell", *each)
        dataset = Path(lock["features"]["params"]["params.yaml"]["data"]["root"]).name
        found = State(dataset, table, read("metrics/table.md"), rows, chosen, singles)
    except (LookupError, TypeError, AttributeError) as error:
        raise ValueError(f"dvc.lock and metrics/ do not fit each other ({error!r})") from None
    if not rows:
        raise ValueError("metrics/table.json: no cell of it is in dvc.lock")
    return found


def lane(lock, read):
    """(network, method, k, seed) of the cell lane, if there is one; k is None where nobody is left out."""
    if "specialize_cell" not in lock:
        return None
    network, method, k, seed, _ = lock["specialize_cell"]["cmd"].split()[-5:]
    somebody_left_out = "families" in content(read, "metrics/curves/cell.json")
    k = int(k) if k.isdecimal() else k  # or `all`
    return network, method, k if somebody_left_out else None, int(seed)


def contents(lock, made, sources, read, place, network, method, k, seed):
    """Everything that a cell's run shows; its inputs have k where it counts."""
    metrics, blind = content(read, f"metrics/{place}.json"), f"metrics/alone/{place}.json"
    alone = content(read, blind)["report"] if blind in made else {}
    specialised = "stages.specialize " in lock[made[f"models/{place}.safetensors"]]["cmd"]
    axes = {"network": network, "method": method, "k": k or everybody(specialised), "seed": seed}
    numbers = {n: number(place, metrics, "report", n) for n in NUMBERS}
    numbers |= {f"select/{n}": number(place, metrics, "select", n) for n in NUMBERS}
    numbers |= {f"{modality}_alone": value for modality, value in alone.items()}
    numbers |= {"parameters": metrics["parameters"]}
    return described(lock, made, sources, read, place, axes, f"{method}{k or ''}", numbers)


def single(lock, made, sources, read, place, title):
    """The same of a network that trained alone; `top1` is its accuracy on all of report."""
    metrics, (row, _, seed) = content(read, f"metrics/{place}.json"), title.rpartition("-s")
    numbers = {"top1": metrics["report"]["overall"], "select/top1": metrics["select"]["overall"]}
    numbers |= {kind: value for kind, value in metrics["report"].items() if kind != "overall"}
    numbers |= {key: value for key, value in metrics.items() if isinstance(value, int | float)}
    return described(lock, made, sources, read, place, {"seed": int(seed)}, row, numbers)


def described(lock, made, sources, read, place, axes, row, numbers):
    """A run; `inputs` decides whether it is a new one, and leaves out the command, but has what it names."""
    files = [f"models/{place}.safetensors", f"metrics/{place}.json", f"metrics/alone/{place}.json"]
    names = [*dict.fromkeys(made[path] for path in files if path in made)]
    # The compare page opens on the first three params that differ, by name, and shows ten letters of a value.
    params = {f"cell.{key}": value for key, value in axes.items()} | {"cell.row": row}
    for name in sorted(set().union(names, *(sources[name] for name in names))):
        for section in pipeline.decided(lock[name]).items():
            params |= flat(*section)
    stages = [lock[name] for name in names]
    deps = {dep["path"]: dep["md5"] for stage in stages for dep in stage["deps"] if dep["path"] not in files}
    machine, seconds = environment(read, f"metrics/environment/{place}.json")
    computed_on = {key: machine[key] for key in PORTABLE} if pipeline.portable(stages[0]) else machine
    return {
        "inputs": [deps, params, computed_on],
        "data": deps["data/features"],
        "params": params,
        "metrics": numbers,
        "curve": content(read, f"metrics/curves/{place}.json")["curve"],
        "seconds": seconds,
        "tags": {key: str(value) for key, value in (axes | machine).items()}
        | {"command": " && ".join(stage["cmd"] for stage in stages)},
    }


def everybody(specialised):
    """The value of k for rows without one: all members learn an example, or a student is alone."""
    return "all" if specialised else "none"


def environment(read, path):
    """What computed a number, as far as is known, and in how many seconds."""
    try:
        known = content(read, path)
    except (OSError, ValueError):
        known = {}
    machine = {key: known.get(key, "unknown") for key in MACHINE}
    if "capabilities" in known:  # older numbers have no record of them
        machine["capabilities"] = " ".join(known["capabilities"])
    seconds = known.get("wall_seconds")
    return machine, seconds if isinstance(seconds, int | float) else 0


def flat(title, value):
    if not isinstance(value, dict):
        return {title: value}
    return {
        key: leaf for part, inner in value.items() for key, leaf in flat(f"{title}.{part}", inner).items()
    }
