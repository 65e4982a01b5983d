"""python -m tools.sweep [--row ROW]

What experiments computed, a line for each combination of params: of those on the current commit, as markdown,
the params that differ between them, but for `seed`; mean and standard deviation over seeds; the best on
select first, where choices are made. The other numbers are of report. They are those of the cell that
network, method and k choose, with --row of a row of the table, which has seeds of its own. A failed
experiment has left nothing.

reads   from git: params.yaml, dvc.lock and metrics/ of HEAD's experiments
writes  nothing
"""

import yaml

from specialists.base.command import output, run
from specialists.tables.table import SHOWN, over, shown
from specialists.tracking import pipeline
from specialists.tracking.cells import flat
from tools.revisions import experiments, table

CELL = ("network", "method", "k")


def main(*, row: str = "cell"):
    made = experiments(output("git", "rev-parse", "HEAD").strip())
    made = {name: commit for name, commit in made.items() if ours(commit)}
    if not made:
        raise ValueError(
            "no experiment on HEAD; dvc exp run -S method=cmcl makes one, dvc exp show lists them"
        )
    params, rows = {}, {}
    for name, commit in made.items():
        tree = yaml.safe_load(pipeline.at(commit)("params.yaml"))
        params[name] = {key: value for part in tree for key, value in flat(part, tree[part]).items()}
        found = table(commit)
        if row not in found:
            raise ValueError(f"ROW: {row!r} is not in experiment {name}; known: {', '.join(found)}")
        rows[name] = found[row]
    print(markdown(params, rows), end="")


def ours(commit):
    """Whether an experiment is of this folder's pipeline: not if it changed only the params of another."""
    place = f"{output('git', 'rev-parse', '--show-prefix').strip()}params.yaml"
    changed = output("git", "diff", "--name-only", "HEAD", commit, "--", ":/*params.yaml").splitlines()
    return not changed or place in changed


def markdown(params, rows):
    """A line for each combination of params; both arguments go by the experiment's name, the oldest first."""
    keys = varying(params.values())
    groups = {}
    for name, settings in params.items():
        group = groups.setdefault(tuple(str(settings.get(key, "")) for key in keys), {})
        group[settings.get("seed")] = rows[name]  # of two with all params equal, the newer
    numbers = [("select", "top1"), *(("report", each) for each in SHOWN)]
    heads = [*keys, "select top-1", *SHOWN.values(), "n"]
    lines = [f"| {' | '.join(heads)} |", "|" + "---|" * len(heads)]
    best = sorted(groups.items(), key=lambda item: -pooled(item[1], "select", "top1")["mean"])
    for values, group in best:
        cells = [shown(pooled(group, *each), 3 if each[1] == "nll" else 2) for each in numbers]
        n = len(group) if len(group) > 1 else next(iter(group.values()))["n"]
        lines.append(f"| {' | '.join([*values, *cells, str(n)])} |")
    return "\n".join(lines) + "\n"


def varying(trees):
    """The params that are not the same everywhere, but for the seed, in the order of the file.

    Where all are the same, as in a single experiment, those that name its cell.
    """
    trees = list(trees)
    keys = dict.fromkeys(key for tree in trees for key in tree)
    differ = [key for key in keys if key != "seed" and len({str(tree.get(key)) for tree in trees}) > 1]
    return differ or [key for key in CELL if key in keys]


def pooled(group, split, number):
    """Mean and deviation over the seeds of the cell lane; of a single experiment, those that its row has."""
    values = [row[split][number] for row in group.values()]
    return values[0] if len(values) == 1 else over([value["mean"] for value in values])


if __name__ == "__main__":
    run(main)
