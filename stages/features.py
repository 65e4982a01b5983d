"""python -m stages.features: the official files under data.root -> data/features, which every network reads.

specialists/data/FORMAT/prepare.py says how, and read.py beside it what the files hold.

reads   params: compute, data, features; data.root
writes  data/features
"""

from dataclasses import replace
from pathlib import Path

from specialists import data
from specialists.base.command import run
from specialists.base.params import read
from specialists.base.runtime import Compute, setup
from specialists.data.folders import readable, replacing

FOLDER = Path("data/features")


def main():
    step = data.part(read("data.format", str), "prepare")
    source, settings = read("data", step.Data), read("features", step.Settings)
    setup(replace(read("compute", Compute), threads=settings.threads), convolutions=True)
    readable(source.root)
    with replacing(FOLDER) as draft:
        found = step.prepare(source, settings, draft)
    print(*(f"{name} {value:.6g}" for name, value in found.items()))


if __name__ == "__main__":
    run(main)
