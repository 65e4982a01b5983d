"""python -m stages.watch

Follow in MLflow, until interrupted, what is being trained in this folder: a run for each checkpoint in
scratch/, whose curve grows with every epoch. The finished cell is another run, which stages.track makes.

reads   scratch/*.pt
writes  as stages.track
"""

import signal
from pathlib import Path
from pickle import UnpicklingError
from threading import Event

import torch

from specialists.tracking import Store, alone, millis, points, reachable
from stages import run

SECONDS = 2


def main():
    runs, logged, seen, over = {}, {}, {}, Event()
    for interrupt in (signal.SIGINT, signal.SIGTERM):
        signal.signal(interrupt, lambda *_: over.set())
    with reachable():
        with alone():
            store = Store()
        print("following scratch/; end with Ctrl-C", flush=True)
        while not over.is_set():
            files = {path.stem: path for path in Path("scratch").glob("*.pt")}
            for title, path in files.items():
                if (changed := _changed(path)) not in (seen.get(title), None):
                    logged[title] = follow(store, runs, title, path, logged.get(title, 0))
                    seen[title] = changed
            for title in runs.keys() - files.keys():
                store.client.set_terminated(runs.pop(title))
                del logged[title], seen[title]
            over.wait(SECONDS)
        for made in runs.values():
            store.client.set_terminated(made)


def _changed(path):
    try:
        return path.stat().st_mtime_ns
    except FileNotFoundError:
        return None


def follow(store, runs, title, path, logged):
    """Log the points of a curve beyond the first `logged`; how many there are now."""
    try:
        curve = torch.load(path, weights_only=True)["state"]["curve"]
    except (OSError, RuntimeError, EOFError, UnpicklingError):  # replaced or gone while we look
        return logged
    if title not in runs:
        runs[title] = store.start(title, {"kind": "running", "pipeline": store.title})
    for epoch in range(logged, len(curve)):
        store.client.log_batch(runs[title], points([curve[epoch]], millis(), epoch + 1))
    return len(curve)


if __name__ == "__main__":
    run(main)
