"""What the members of a cell said, as its evaluation kept it, and how right that is.

B examples, C answers
"""

from safetensors import SafetensorError
from safetensors.torch import load_file


def kept(place):
    """The file of a place such as cells/san-ie-s0, or cell."""
    return f"models/answers/{place}.safetensors"


def said(place, split="report"):
    """logits_MBC on a split, select or report, which are kept as fp16."""
    try:
        return load_file(path := kept(place))[split].float()
    except (OSError, KeyError, SafetensorError) as error:
        raise ValueError(f"{path}: cannot be read ({error}); evaluate the cell again") from None


def right(said_BC, data):
    """How right an answer is on each example of report."""
    return data.task.right(said_BC.argmax(1), data.targets(data.rows("report"))).double().tolist()
