"""Many ranks: each computes some members on a part of the batch; members are shared out first.

What all members say of the whole batch is known to every rank: of its own share with a gradient, of the rest
as numbers. A member's loss has no gradient to another, for the choice of Eq. 4 is not differentiated. So
loss, noise and curve are computed by every rank as by one alone, on tensors of the same shape, and a member
has the bits that it has alone. Parts of a batch add up to it (parts.py) but for rounding. A checkpoint is
that of one rank.

M members, B batch
"""

import io
import sys
from contextlib import nullcontext
from copy import copy
from types import SimpleNamespace

import torch
import torch.distributed as dist
from torch import nn

from specialists.base.runtime import DEVICE
from specialists.training import alone, parts


class Ranks(alone.Ranks):
    """Rows of ranks by member, columns by part of the batch; no other object asks for the rank."""

    left = False

    def __init__(self, ensemble, data, scaler):
        if Ranks.left:
            raise ValueError("a stage that trains more than once needs one rank: start it without torchrun")
        dist.init_process_group("cpu:gloo,cuda:nccl" if DEVICE.type == "cuda" else "gloo")
        self.rank, world, self.count = dist.get_rank(), dist.get_world_size(), len(ensemble.members)
        most = 1 if parts.together(ensemble) or scaler.is_enabled() else self.count
        rows = max(n for n in range(1, most + 1) if world % n == 0)
        row, column = divmod(self.rank, world // rows)
        self.mine = [*range(self.count)][row * self.count // rows : (row + 1) * self.count // rows]
        self.part = parts.Part(column, world // rows, dist.new_subgroups(world // rows)[0])
        self.own, self.whole, self.given = _some(ensemble, self.mine), ensemble, data
        self.ensemble, self.data = With(ensemble, call=self.said), With(data, batch=self.batch)
        if self.part.of > 1:
            parts.join(ensemble, self.part)

    def batch(self, rows):
        """That of the data, but of the inputs this rank's part."""
        self.part.cut(len(rows))
        inputs, target = self.given.batch(rows[self.part.seen])
        return inputs, self.gathered(target.unsqueeze(0), 1, 0, self.part.group)[0]

    def said(self, *inputs, generator=None):
        """logits_MBC of all members and the whole batch, with a gradient to what this rank computed."""
        own_MBC = self.own(*inputs, generator=generator)
        if self.part.of > 1 and any(torch.is_tensor(getattr(each, "extra", 0)) for each in self.own.members):
            raise ValueError(
                f"a network with a loss of its own needs whole batches: at most {self.count} ranks"
            )
        others = self.count - len(self.mine)
        return self.gathered(own_MBC, len(own_MBC) + others, self.mine[0], None)

    def gathered(self, own_MB, members, first, group):
        """All shares, each in its place; x + 0 is x."""
        whole_MB, own_MB = (
            own_MB.new_zeros(members, self.part.size, *own_MB.shape[2:]),
            own_MB[:, : self.part.count],
        )
        place = slice(first, first + len(own_MB)), slice(self.part.first, self.part.first + self.part.count)
        whole_MB[place] = own_MB.detach()
        dist.all_reduce(whole_MB, group=group)
        whole_MB[place] = own_MB
        return whole_MB

    def progress(self, *given):
        silent = SimpleNamespace(step=lambda: None, line=lambda *_: None)
        return nullcontext(silent) if self.rank else super().progress(*given)

    def add(self):
        slopes = [each.grad for each in self.own.parameters() if each.grad is not None]
        dist.all_reduce(flat := torch.cat([each.flatten() for each in slopes]), group=self.part.group)
        for slope, whole in zip(slopes, flat.split([each.numel() for each in slopes]), strict=True):
            slope.copy_(whole.view_as(slope))

    def agree(self, said):
        dist.broadcast(first := torch.tensor(float(said), device=DEVICE), 0)
        return bool(first)

    def save(self, path, ensemble, optimizer, generator, state):
        """The first rank learns what the others keep of their members, and writes what one rank would."""
        members, kept = ensemble.members, {}
        for m in () if self.part.place else self.mine:
            moments = [optimizer.state[each] for each in members[m].parameters()]
            kept[m] = members[m].state_dict(), moments, state["means"].get(m)
        torch.save(kept, content := io.BytesIO())
        every = [] if self.rank else [None] * dist.get_world_size()
        dist.gather_object(content.getvalue(), every or None)
        for each in every:
            told = torch.load(io.BytesIO(each), DEVICE, weights_only=True)
            for m, (weights, moments, mean) in told.items():
                members[m].load_state_dict(weights)
                optimizer.state.update(zip(members[m].parameters(), moments, strict=True))
                state["means"] |= {m: mean} if mean else {}
        if not self.rank:
            super().save(path, ensemble, optimizer, generator, state)

    def leave(self):
        parts.leave(self.whole)
        dist.destroy_process_group()
        Ranks.left = True
        if self.rank:
            sys.exit()


class With:
    """An object, some attributes of which are others."""

    def __init__(self, thing, **others):
        vars(self).update(others, thing=thing)

    def __call__(self, *given, **named):
        return self.call(*given, **named)

    def __getattr__(self, name):
        return getattr(self.thing, name)


def _some(ensemble, mine):
    """The same modules, but of the members only some."""
    if len(mine) == len(ensemble.members):
        return ensemble
    some = copy(ensemble)
    some._modules = ensemble._modules | {"members": nn.ModuleList(ensemble.members[m] for m in mine)}
    return some
