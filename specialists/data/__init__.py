"""Data sets, a folder each, and the prepared data that training and evaluation read.

A folder has official.py (the published format), stand_in.py (a small one of our own in that format),
prepare.py (from the format to what networks read), perhaps picture.py (a question with its picture, for
networks that are `pictured`), and read.py, whose `load` gives an object that offers

rows(split)                 the rows of train, select or report
order(batch, generator)     positions within train for one epoch, to be cut into batches
batch(rows)                 (what goes into a network), target_B
targets(rows)               what is right in each row, as `task` understands it
groups(rows)                the group (question family, superclass) of each row
task                        what a right answer is: a file like specialists/answers/label.py
group_names, shape, meta    names of the groups, what a network must know of the data, and the rest
"""

from importlib import import_module
from pathlib import Path

from specialists.base.files import read_json


def load(folder):
    """The prepared data of a folder, by the reader that its meta.json names."""
    if type(meta := read_json(path := Path(folder) / "meta.json")) is not dict:
        raise ValueError(f"{path}: expected an object in braces")
    data = part(meta.get("reader"), "read", f"{path}: reader").load(Path(folder))
    for split in ("train", "report"):
        if not len(data.rows(split)):
            raise ValueError(f"{folder}: no row is in {split}; run the features stage again")
    return data


def part(format, name, place="params.yaml: data.format"):
    """The module NAME of a data set: FORMAT/NAME.py beside this file."""
    known = sorted(path.parent.name for path in Path(__file__).parent.glob(f"*/{name}.py"))
    if format not in known:
        raise ValueError(f"{place}: {format!r} is unknown; known: {', '.join(known)}")
    return import_module(f"{__name__}.{format}.{name}")
