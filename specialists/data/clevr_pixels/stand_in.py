"""The stand-in of CLEVR, whose scenes and questions may be fewer and simpler than those of CLEVR."""

from dataclasses import dataclass

from specialists.data.clevr import families, world
from specialists.data.clevr.stand_in import write
from specialists.data.limits import within

__all__ = ["World", "write"]


@dataclass(frozen=True)
class World(world.World):
    """The section `world` of params.yaml: from `fewest` to `most` objects, questions of these `families`."""

    fewest: int
    most: int
    families: list[str]

    def __post_init__(self):
        super().__post_init__()
        within(self, {"fewest": (1, world.MOST), "most": (self.fewest, world.MOST)})
        families.named(self.families)
