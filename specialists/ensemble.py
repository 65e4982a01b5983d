"""M members as one module, and from M answers to one.

M members, B batch, C answers
"""

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file
from safetensors.torch import save as to_bytes
from torch import nn

from specialists.files import replacing


class Ensemble(nn.Module):
    """Members side by side on the same batch: logits_MBC in fp32, computed in bf16 where that is faster."""

    def __init__(self, members):
        super().__init__()
        self.members = nn.ModuleList(members)

    def forward(self, *inputs):
        with torch.autocast(inputs[0].device.type, torch.bfloat16):
            return torch.stack([member(*inputs) for member in self.members]).float()


def mean(logits_MBC):
    """Eq. 7: the mean of the members' distributions."""
    return logits_MBC.softmax(2).mean(0)


def save(ensemble, path):
    """Tensors only, so that equal weights are equal bytes."""
    with replacing(path) as draft:
        draft.write_bytes(to_bytes(ensemble.state_dict()))


def load(path, build):
    """The ensemble of a weights file, with as many members as it holds, each made by `build()`."""
    try:
        weights = load_file(path)
    except (OSError, SafetensorError) as error:
        raise ValueError(f"{path}: cannot be read ({error}); run its stage again") from None
    members = {name.split(".")[1] for name in weights if name.startswith("members.")}
    ensemble = Ensemble([build() for _ in members])
    try:
        ensemble.load_state_dict(weights)
    except RuntimeError as error:
        reason = " ".join(str(error).split())[:200]
        raise ValueError(f"{path}: not weights of this network ({reason}); run its stage again") from None
    return ensemble
