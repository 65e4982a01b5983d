"""Whether anything beats the control: every row of pipelines/candidates beside IE+, with and without sharing.

From the intervals of the stages `paired` and `selected`. `tools.pages` uses it.
"""

from specialists.base.files import read_json
from specialists.base.params import load
from specialists.tables.rows import name
from specialists.tables.titles import titles
from tools.gains import kept, said

FOLDER = "pipelines/candidates"
CONTROLS = {"ie_plus": "over IE+", "ie_plus_fs": "over IE+FS"}
HEAD = ["network", "method", "top-1", "oracle", *CONTROLS.values(), "its members weighed"]


def markdown(root):
    rows, paired = kept(root / FOLDER)
    called, weighed = titles(load(root / FOLDER / "params.yaml")["methods"]), {}
    for path in sorted((root / FOLDER).glob("metrics/selected/*.json")):
        weighed |= read_json(path)
    lines = [f"| {' | '.join(HEAD)} |", "|---" * len(HEAD) + "|"]
    for row in rows.values():
        one = name(row["network"], row["method"], row["k"])
        others = [name(row["network"], control, None) for control in CONTROLS]
        cells = [row["network"].upper(), called[row["method"]], score(row, "top1"), score(row, "oracle")]
        cells += [said(paired[one][each]) if each in paired.get(one, {}) else "" for each in others]
        lines.append(f"| {' | '.join([*cells, said(weighed[one]) if one in weighed else ''])} |")
    return "\n".join(lines) + "\n"


def score(row, measure):
    found = row["report"][measure]
    return f"{found['mean']:.2f} ± {found['std']:.2f}"
