"""Whether anything beats the control: every row of pipelines/candidates beside IE+, with and without sharing.

From the intervals of the stages `paired`, `selected` and `drawn`. `tools.pages` uses it.
"""

from specialists.base.files import read_json
from specialists.base.params import load
from specialists.tables.rows import again, name
from specialists.tables.titles import titles
from tools.gains import kept, said

FOLDER = "pipelines/candidates"
# The last is the control of a second generation alone.
CONTROLS = {"ie_plus": "over IE+", "ie_plus_fs": "over IE+FS", again("ie_plus"): "over IE+, again"}
HEAD = ["network", "method", "top-1", "oracle", *CONTROLS.values()]
APART = {"selected": "its members weighed", "drawn": "its masks drawn"}  # against the row itself


def markdown(root):
    rows, paired = kept(root / FOLDER)
    called = titles(load(root / FOLDER / "params.yaml")["methods"])
    apart = [found(root, stage) for stage in APART]
    heads = [*HEAD, *APART.values()]
    lines = [f"| {' | '.join(heads)} |", "|---" * len(heads) + "|"]
    for row in rows.values():
        one = name(row["network"], row["method"], row["k"])
        over = [paired.get(one, {}).get(name(row["network"], each, None)) for each in CONTROLS]
        if not row["method"].endswith(again("")):
            over[-1] = None
        cells = [row["network"].upper(), called[row["method"]], score(row, "top1"), score(row, "oracle")]
        cells += ["" if gain is None else said(gain) for gain in [*over, *(each.get(one) for each in apart)]]
        lines.append(f"| {' | '.join(cells)} |")
    return "\n".join(lines) + "\n"


def found(root, stage):
    """Row -> what a stage measured of it."""
    gains = {}
    for path in sorted((root / FOLDER).glob(f"metrics/{stage}/*.json")):
        gains |= read_json(path)
    return gains


def score(row, measure):
    found = row["report"][measure]
    return f"{found['mean']:.2f} ± {found['std']:.2f}"
