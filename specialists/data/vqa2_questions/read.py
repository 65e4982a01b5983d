"""What every network on boxes reads, though the one box of each image shows nothing."""

from specialists.data.vqa2.read import load

__all__ = ["load"]
