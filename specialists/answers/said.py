"""What the members of a cell said, as its evaluation kept it."""

from safetensors import SafetensorError
from safetensors.torch import load_file


def said(cell):
    """logits_MBC on report, which are kept as fp16."""
    path = f"models/answers/cells/{cell}.safetensors"
    try:
        return load_file(path)["report"].float()
    except (OSError, KeyError, SafetensorError) as error:
        raise ValueError(f"{path}: cannot be read ({error}); evaluate the cell again") from None
