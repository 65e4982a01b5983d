"""python -m tools.watch

Follow in MLflow, until interrupted, what is being trained in this folder: a run for each checkpoint in
scratch/, whose curve grows with every epoch. The finished cell is another run, which stages.track makes.

reads   scratch/*.pt, params: methods
writes  as stages.track
"""

import re
import signal
from pathlib import Path
from threading import Event

import torch

from specialists.base.command import run
from specialists.base.params import read
from specialists.tracking.cells import everybody
from specialists.tracking.store import Store, alone, millis, points, reachable

SECONDS, AGAIN = 2, 20
NAME = re.compile(
    r"(?P<network>[\w+.]+)-(m(?P<member>\d+)|(?P<method>[\w+.]+)(-k(?P<k>\d+))?)-s(?P<seed>\d+)-\w+"
)


def main():
    over = Event()
    for interrupt in (signal.SIGINT, signal.SIGTERM):
        signal.signal(interrupt, lambda *_: over.set())
    store, runs, seen = None, {}, {}
    while not over.is_set():
        patience = AGAIN  # if MLflow does not answer
        with reachable():
            if store is None:
                with alone():
                    store = Store()
                print("following scratch/; end with Ctrl-C", flush=True)
            found = [path for path in Path("scratch").glob("*.pt") if path.is_file()]
            files = {path.stem: path for path in found if path.stem.isprintable()}
            for title, path in files.items():
                if (changed := _changed(path)) not in (seen.get(title), None):
                    follow(store, runs, title, path)
                    seen[title] = changed
            for title in runs.keys() - files.keys():
                store.client.set_terminated(runs[title][0])
                del runs[title], seen[title]
            patience = SECONDS
        over.wait(patience)
    with reachable():
        for made, _ in runs.values():
            store.client.set_terminated(made)


def _changed(path):
    try:
        return path.stat().st_mtime_ns
    except FileNotFoundError:
        return None


def curve_of(path):
    """The curve of a checkpoint; nothing of a file that is none, is damaged, or is replaced while we look."""
    try:
        curve = torch.load(path, weights_only=True)["state"]["curve"]
        found = [{str(k): float(value) for k, value in each.items() if k != "chosen"} for each in curve]
    except Exception:  # what damaged files raise has nothing in common
        return None
    return found if all(key.isidentifier() for each in found for key in each) else None


def follow(store, runs, title, path):
    """Log the points of a curve that its run does not have; runs: title -> (run, how many it has)."""
    if (curve := curve_of(path)) is None:
        return
    if title not in runs:
        place = NAME.fullmatch(title)  # "cell", in that lane, says nothing more
        tags = {key: value for key, value in place.groupdict().items() if value} if place else {}
        if "method" in tags:
            tags.setdefault("k", everybody(tags["method"] in read("methods", dict[str, dict])))
        made = store.start(title, tags | {"kind": "running", "pipeline": store.title})
        runs[title] = made, len(store.client.get_metric_history(made, "curve/loss"))
    made, logged = runs[title]
    for epoch in range(logged, len(curve)):
        store.client.log_batch(made, points([curve[epoch]], millis(), epoch + 1))
        runs[title] = made, epoch + 1


if __name__ == "__main__":
    run(main)
