"""M members as one module, and from M answers to one.

M members, B batch, C answers
"""

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file
from safetensors.torch import save as to_bytes
from torch import nn

from specialists.base.files import replacing
from specialists.base.runtime import DEVICE, precision


class Ensemble(nn.Module):
    """Members side by side on the same batch: logits_MBC in fp32, however they were computed.

    With `keep` they share features: the upper part of member m gets the sum of its own lower part's output
    and of every other member's, of which each element is kept with probability `keep`. `generator` draws
    these masks in training; without one, their expectation is taken. A network that can share has the parts
    `lower` and `upper`.
    """

    def __init__(self, members, keep=None):
        super().__init__()
        self.members = nn.ModuleList(members)
        if keep is not None:
            if not 0 <= keep <= 1:
                raise ValueError(f"sharing: {keep} is out of range: 0 to 1")
            if not all(hasattr(member, "upper") for member in self.members):
                raise ValueError("this network has no parts `lower` and `upper` between which to share")
        self.register_buffer("keep", keep if keep is None else torch.tensor(keep))
        self.chance = keep if keep is None else self.keep.item()  # read once, for a GPU would wait
        self.to(DEVICE, memory_format=torch.channels_last)

    def forward(self, *inputs, generator=None):
        with precision():
            if self.keep is None:
                return torch.stack([member(*inputs) for member in self.members]).float()
            features = [member.lower(*inputs) for member in self.members]
            shared = share(features, self.chance, generator)
            return torch.stack([m.upper(x) for m, x in zip(self.members, shared, strict=True)]).float()

    def compile(self):
        """Compile the members; the disk keeps the code. It pays for convolutions in long training."""
        for member in self.members:
            for part in [member] if self.keep is None else [member.lower, member.upper]:
                part.compile(dynamic=False)


def share(features, keep, generator):
    """out_m = own_m + sum over j != m of mask_mj * features_j, a mask of elements for every pair (m, j)."""
    if generator is None:
        total = sum(features)
        return [own + keep * (total - own) for own in features]
    shared = []
    for m, own in enumerate(features):
        for other in features[:m] + features[m + 1 :]:
            own = torch.addcmul(own, other, mask(other, keep, generator))
        shared.append(own)
    return shared


def mask(like, keep, generator):
    """1 with probability `keep`, else 0, to one in 32,768; dense and strided as `like`.

    Drawn as four 15-bit numbers per 64 random bits and compared by integer arithmetic, which is ten times as
    fast on a CPU as `bernoulli_`.
    """
    draw = torch.empty((like.numel() + 3) // 4, dtype=torch.int64, device=like.device)
    draw.random_(-(2**63), None, generator=generator)
    below = draw.view(torch.int16).bitwise_and_(0x7FFF).sub_(round(keep * 32768)).bitwise_right_shift_(15)
    return below.neg_()[: like.numel()].to(like.dtype).as_strided(like.shape, like.stride())


def mean(logits_MBC, task):
    """Eq. 7: the mean of the members' distributions."""
    return task.distribution(logits_MBC).mean(0)


def answer(ensemble, data, rows, dtype=torch.float32, **more):
    """logits_MBC of all members on the given rows, in evaluation mode; `more` is given to them, too."""
    return torch.cat([said_MBC.to(dtype) for _, said_MBC in answers(ensemble, data, rows, **more)], 1)


@torch.no_grad()
def answers(ensemble, data, rows, batch=500, **more):
    """The same, some rows at a time: yield (positions within `rows`, logits_MBC)."""
    ensemble.eval()
    for position_B in torch.arange(len(rows)).split(batch):
        logits_MBC = ensemble(*data.batch(rows[position_B])[0], **more).cpu()
        if (bad_B := ~logits_MBC.isfinite().all(2).all(0)).any():
            row = rows[position_B[bad_B][0]]
            raise ValueError(f"the answer to row {row} is not finite: look at its features and the weights")
        yield position_B, logits_MBC


def save(ensemble, path):
    """Tensors only, so that equal weights are equal bytes."""
    weights = {name: value.contiguous() for name, value in ensemble.state_dict().items()}
    with replacing(path) as draft:
        draft.write_bytes(to_bytes(weights))


def load(path, build):
    """The ensemble of a weights file, with as many members as it holds, each made by `build()`."""
    try:
        weights = load_file(path)
    except (OSError, SafetensorError) as error:
        raise ValueError(f"{path}: cannot be read ({error}); run its stage again") from None
    members = {name.split(".")[1] for name in weights if name.startswith("members.")}
    keep = weights.get("keep")
    ensemble = Ensemble([build() for _ in members], keep if keep is None else keep.item())
    try:
        ensemble.load_state_dict(weights)
    except RuntimeError as error:
        reason = " ".join(str(error).split())[:200]
        raise ValueError(f"{path}: not weights of this network ({reason}); run its stage again") from None
    return ensemble
