"""Eyes as a file of weights: new pictures are seen by the eyes that made the features."""

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file
from safetensors.torch import save as to_bytes

from specialists.base.files import replacing


def content(eyes):
    """Tensors only, so that equal weights are equal bytes."""
    return to_bytes({name: value.contiguous() for name, value in eyes.state_dict().items()})


def save(eyes, path):
    with replacing(path) as draft:
        draft.write_bytes(content(eyes))


def load(eyes, path, section):
    """These eyes with the weights of a file; `section` of params.yaml says what they are like.

    Laid out in memory as when they learned, on which the last bits of a convolution can depend.
    """
    try:
        eyes.load_state_dict(load_file(path))
    except (OSError, SafetensorError, RuntimeError) as error:
        reason = " ".join(str(error).split())[:200]
        raise ValueError(f"{path}: not eyes of {section} ({reason}); run its stage again") from None
    return eyes.eval().requires_grad_(False).to(memory_format=torch.channels_last)
