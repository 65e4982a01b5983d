"""Whether anything beats the control: every row of a pipeline beside IE+, with and without sharing.

From the intervals of the stages `paired`, `selected` and `drawn`. `tools.pages` uses it.
"""

from specialists.base.files import read_json
from specialists.base.params import load
from specialists.tables.rows import again, name
from specialists.tables.titles import titles
from tools.gains import kept, said

CONTROLS = ("ie_plus", "ie_plus_fs")
APART = {"selected": "its members weighed", "drawn": "its masks drawn"}  # against the row itself


def markdown(folder):
    rows, paired = kept(folder)
    params = load(folder / "params.yaml")
    called = titles(params["methods"])
    later = [again(control) for control in params["table"]["generalists_again"]]  # of a second generation
    controls = [*CONTROLS, *later]
    apart = [found(folder, stage) for stage in APART]
    over = [f"over {called[control]}" for control in controls]
    heads = ["network", "method", "top-1", "oracle", *over, *APART.values()]
    lines = [f"| {' | '.join(heads)} |", "|---" * len(heads) + "|"]
    for row in rows.values():
        one = name(row["network"], row["method"], row["k"])
        own = controls if row["method"].endswith(again("")) else CONTROLS
        over_each = {each: paired.get(one, {}).get(name(row["network"], each, None)) for each in own}
        gains = [*map(over_each.get, controls), *(each.get(one) for each in apart)]
        cells = [row["network"].upper(), called[row["method"]], score(row, "top1"), score(row, "oracle")]
        lines.append(f"| {' | '.join([*cells, *('' if gain is None else said(gain) for gain in gains)])} |")
    return "\n".join(lines) + "\n"


def found(folder, stage):
    """Row -> what a stage measured of it."""
    gains = {}
    for path in sorted(folder.glob(f"metrics/{stage}/*.json")):
        gains |= read_json(path)
    return gains


def score(row, measure):
    found = row["report"][measure]
    return f"{found['mean']:.2f} ± {found['std']:.2f}"
