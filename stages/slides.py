"""python -m stages.slides

Collect single networks and votes into the tables of the slides: networks, boxes, updates, precision, the
student of the teacher that is told, and ensembles; and who is better than whom. Seconds are those of the
machine that trained, divided by epochs; with each epoch come its answers to select.

reads   params: rivals, singles, table.seeds, votes, budgets.base.epochs; metrics/singles, metrics/votes,
        metrics/mixed.json, metrics/tactics.json, metrics/curves/singles, metrics/environment/singles,
        metrics/environment/mixed.json, slides.csv
writes  metrics/slides.json, metrics/slides.md
"""

from specialists.base.command import run
from specialists.base.files import md5, read_json, replacing, write_json
from specialists.base.params import read
from specialists.tables import slides, tactics
from specialists.tables.table import over
from specialists.tables.tactics import Singles


def main():
    tables, paper = collected(), slides.published()
    write_json("metrics/slides.json", tables)
    rivals = read("rivals", list[list[str]])
    pages = [slides.markdown(title, rows, paper) for title, rows in tables.items()]
    with replacing("metrics/slides.md") as draft:
        draft.write_text("\n".join([*pages, tactics.compared(metrics("tactics"), rivals)]))


def collected():
    """Title -> row -> numbers."""
    axes, network = read("singles", Singles), read("votes.network", str)
    made = {
        title: {name: slides.single(name, axes.seeds, metrics, spent) for name in rows}
        for title, rows in axes.tables().items()
    }
    seeds = read("table.seeds", list[int])
    votes = {
        row: slides.voted(network, seeds, row, metrics)
        for row in tactics.ensembles(read("votes.sizes", list[int]))
    }
    return made | {"Mixed precision": mixed()} | {"Ensembles": votes}


def mixed():
    """What stages/mixed.py measured together with metrics/mixed.json."""
    path, beside = "metrics/mixed.json", "metrics/environment/mixed.json"
    found = read_json(beside)
    if found.get("made") != md5(path):
        again = "dvc repro --force --single-item mixed"
        raise ValueError(f"{beside}: was measured with another {path}; {again} measures again")
    epochs = read("budgets.base.epochs", int)
    return {
        name: each
        | {"seconds": each["seconds"] / epochs}
        | {"report": {kind: over([each["report"][kind]]) for kind in slides.KINDS}}
        for name, each in found["measured"].items()
    }


def metrics(name):
    return read_json(f"metrics/{name}.json")


def spent(name):
    """Seconds of an epoch of a run."""
    epochs = len(read_json(f"metrics/curves/{name}.json")["curve"])
    return read_json(f"metrics/environment/{name}.json")["wall_seconds"] / epochs


if __name__ == "__main__":
    run(main)
