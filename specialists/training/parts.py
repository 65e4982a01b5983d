"""Parts of a batch, one a rank: what must see all examples, or draw for all, does so as if it had the whole.

That is batch norm, dropout and shared features. Whatever else a network does, it does to each example alone.
"""

from functools import partial

import torch
import torch.distributed as dist
import torch.nn.functional as F
from torch import nn
from torch.nn.modules.batchnorm import _BatchNorm as Norm
from torch.nn.modules.dropout import _DropoutNd as Dropout


class Part:
    """Which rows of a batch of `size` are this rank's: `count` from `first` on, of `seen` no more count.

    A rank to which no row is left looks at the last one, which does not count.
    """

    def __init__(self, place, of, group):
        self.place, self.of, self.group = place, of, group

    def cut(self, size):
        self.size, each, more = size, *divmod(size, self.of)
        self.count = each + (self.place < more)
        self.first = min(self.place * each + min(self.place, more), size - 1)
        self.seen = slice(self.first, self.first + max(self.count, 1))


class Sum(torch.autograd.Function):
    """The sum of what the ranks of a group say; so is its gradient."""

    @staticmethod
    def forward(ctx, said, group):
        ctx.group, total = group, said.clone()
        dist.all_reduce(total, group=group)
        return total

    @staticmethod
    def backward(ctx, slope):
        return Sum.apply(slope, ctx.group), None


def together(ensemble):
    """Whether a rank has to have all members: they share features, or draw one after the other."""
    drawing = any(isinstance(each, Dropout) and each.p for each in ensemble.modules())
    return drawing or getattr(ensemble, "keep", None) is not None


def join(ensemble, part):
    """Let modules compute a part as that of a whole batch, until `leave`."""
    for module in ensemble.modules():
        if type(module).get_extra_state is not nn.Module.get_extra_state:
            raise ValueError(
                f"{type(module).__name__} learns by itself, from whole batches: it needs one rank"
            )
        for kind, forward in ((Norm, normed), (Dropout, dropped)):
            if isinstance(module, kind):
                module.forward = partial(forward, part, module)
    if getattr(ensemble, "keep", None) is not None:
        for member in ensemble.members:
            member.lower.forward = partial(padded, part, member.lower.forward)
            member.upper.forward = partial(shown, part, member.upper.forward)


def leave(ensemble):
    for module in ensemble.modules():
        vars(module).pop("forward", None)


def normed(part, norm, x):
    """By the mean and variance of the whole batch; nn.SyncBatchNorm takes no tensors of a CPU."""
    if not norm.training:
        return type(norm).forward(norm, x)
    counted = x[: len(x) * bool(part.count)].to(torch.promote_types(x.dtype, torch.float32))
    over, form = [0, *range(2, x.ndim)], (-1, *[1] * (x.ndim - 2))
    n = Sum.apply(counted.new_tensor(counted.numel() / x.shape[1]), part.group)
    mean = Sum.apply(counted.sum(over), part.group) / n
    var = Sum.apply((counted - mean.view(form)).square().sum(over), part.group) / n
    with torch.no_grad():
        norm.num_batches_tracked += 1
        norm.running_mean.lerp_(mean, norm.momentum)
        norm.running_var.lerp_(var * n / (n - 1), norm.momentum)
    scale = (var + norm.eps).rsqrt() * norm.weight
    return ((x - mean.view(form)) * scale.view(form) + norm.bias.view(form)).to(x.dtype)


def dropped(part, dropout, x):
    """What falls out is drawn for the whole batch."""
    if not dropout.training:
        return x
    if type(dropout) is not nn.Dropout or not x.is_contiguous() or len(x) != len(range(part.size)[part.seen]):
        raise ValueError(f"{dropout} of {tuple(x.shape)}: not one of rows of examples: it needs one rank")
    return x * F.dropout(x.new_ones(part.size, *x.shape[1:]), dropout.p)[part.seen]


def padded(part, forward, *inputs):
    """What members share, in its place in the whole batch, for which masks are drawn."""
    x = forward(*inputs)
    return F.pad(x, [0, 0] * (x.ndim - 1) + [part.first, part.size - part.first - len(x)])


def shown(part, forward, x):
    return forward(x[part.seen])
