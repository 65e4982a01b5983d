"""What every network on boxes reads: cells of a grid are boxes here, and the files those of VQA v2."""

from specialists.data.vqa2.read import load

__all__ = ["load"]
