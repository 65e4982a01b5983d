"""What a features stage wrote, for whatever trains and evaluates on it: an object that offers

rows(split)                 the rows of train, select or report
order(batch, generator)     positions within train for one epoch, to be cut into batches
batch(rows)                 (what goes into a network), label_B
labels(rows), groups(rows)  the right answer, and the group (question family, superclass) of each row
group_names, shape, meta    names of the groups, what a network must know of the data, and the rest
"""

from importlib import import_module
from pathlib import Path

from specialists.files import read_json


def load(folder):
    """The data of a folder, by the reader that its meta.json names: a file beside this one."""
    name = read_json(Path(folder) / "meta.json").get("reader")
    if name not in READERS:
        raise ValueError(f"{folder}/meta.json: reader: {name!r} is unknown; known: {', '.join(READERS)}")
    return import_module(f"specialists.data.{name}").load(Path(folder))


READERS = ("features", "cifar100")
