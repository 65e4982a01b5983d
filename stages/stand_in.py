"""python -m stages.stand_in: a small data set of our own -> data/stand_in, in the official format.

For whoever has no data. What it looks like is said in specialists/data/FORMAT/stand_in.py.

reads   params: data.format, world
writes  data/stand_in
"""

from pathlib import Path

from specialists import data
from specialists.base.command import run
from specialists.base.params import read
from specialists.data.folders import replacing

FOLDER = Path("data/stand_in")


def main():
    stand_in = data.part(read("data.format", str), "stand_in")
    world = read("world", stand_in.World)
    with replacing(FOLDER) as draft:
        stand_in.write(world, draft)


if __name__ == "__main__":
    run(main)
