"""python -m stages.stand_in: a small data set of our own -> data/stand_in, in the official format.

It needs no download. specialists/data/FORMAT/stand_in.py says what it looks like.

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
