"""The stand-in of VQA v2, of which only the JSON is read."""

from specialists.data.vqa2.stand_in import World, write

__all__ = ["World", "write"]
