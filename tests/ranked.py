"""torchrun ... tests/ranked.py FOLDER CASE...: train each case on as many ranks as there are.

tests/test_ranks.py calls the same on one rank. All is in float64, where another order of adding is 1e-16.
"""

import os
import signal
import sys
from functools import partial
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1]))
from specialists.base import portable  # noqa: E402

os.environ.update(portable.VARIABLES)

import torch  # noqa: E402
import torch.distributed as dist  # noqa: E402
from torch import nn  # noqa: E402

from specialists.answers import label  # noqa: E402
from specialists.answers.assignment import oracle_loss  # noqa: E402
from specialists.answers.ensemble import Ensemble, share  # noqa: E402
from specialists.training import loop  # noqa: E402
from specialists.training.budget import Budget  # noqa: E402

ROWS, ANSWERS, STOP = 23, 4, 9  # calls of the loss, of which the last is in the second epoch


class Points:
    """23 rows of train: of a batch of 7 the last has 2, of one of 11 it has 1; 5 more are select."""

    task = label

    def __init__(self):
        generator = torch.Generator().manual_seed(0)
        self.x = torch.randn(ROWS + 5, 3, generator=generator, dtype=torch.float64)
        self.y = torch.randint(ANSWERS, (ROWS + 5,), generator=generator)

    def rows(self, split):
        return torch.arange(ROWS) if split == "train" else torch.arange(ROWS, ROWS + 5)

    def order(self, batch, generator):
        return torch.randperm(ROWS, generator=generator)

    def batch(self, rows):
        assert len(rows), "no reader is asked for nothing"
        return (self.x[rows],), self.y[rows]

    def targets(self, rows):
        return self.y[rows]


class Member(nn.Module):
    """`cost`: of how large its answers are, a loss of its own."""

    def __init__(self, norm=False, dropout=0.0, cost=0.0):
        super().__init__()
        middle = nn.BatchNorm1d(5) if norm else nn.Dropout(dropout)
        self.lower = nn.Sequential(nn.Linear(3, 5, bias=not norm), middle, nn.Tanh())
        self.upper, self.cost = nn.Sequential(nn.Linear(5, 5), nn.ReLU(), nn.Linear(5, ANSWERS)), cost

    def forward(self, x):
        said = self.upper(self.lower(x))
        if self.cost:
            self.extra = self.cost * said.square().mean()
        return said


class Learner(Member):
    """Has something that it learns by itself."""

    def get_extra_state(self):
        return 0

    def set_extra_state(self, state):
        pass


class Double(Ensemble):
    """In float64 all the way."""

    def forward(self, *inputs, generator=None):
        if self.keep is None:
            return torch.stack([member(*inputs) for member in self.members])
        shared = share([member.lower(*inputs) for member in self.members], self.keep.item(), generator)
        return torch.stack([m.upper(x) for m, x in zip(self.members, shared, strict=True)])


# How many members, whether they share features, and what each is made with.
CASES = {
    "members": (3, None, partial(Member, norm=True, cost=0.7)),
    "killed": (3, None, Member),
    "halved": (3, None, Member),
    "begun": (3, None, Member),
    "both": (3, None, Member),
    "norm": (1, None, partial(Member, norm=True)),
    "dropout": (2, None, partial(Member, dropout=0.4)),
    "sharing": (2, 0.25, partial(Member, norm=True)),
    "costly": (1, None, partial(Member, cost=0.7)),
    "learner": (1, None, Learner),
    "twice": (1, None, Member),
}
AVERAGED = {"members", "killed", "halved", "begun", "both"}  # end as the mean of half of the steps
BUDGETS = {
    True: Budget(epochs=3, batch=7, lr=0.01, clip=0.5, weight_decay=0.01),  # one example has no variance
    False: Budget(epochs=3, batch=11, lr=0.01, clip=0.5, parts=2),
}


def noisy(logits_MBC, label_B, position_B, generator):
    """Two members learn; the others pay for an answer drawn at random."""
    drawn_MB = label.drawn(logits_MBC, generator)
    return oracle_loss(label.loss(logits_MBC, label_B), 0.5 * drawn_MB, min(2, len(logits_MBC)))


def trained(case, folder, loss=noisy):
    """(weights, curve) of a case, by the checkpoint FOLDER/CASE.pt."""
    count, keep, build = CASES[case]
    torch.manual_seed(0)
    ensemble = Double([build().double() for _ in range(count)], keep)
    normed = any(isinstance(each, nn.BatchNorm1d) for each in ensemble.modules())
    scratch, average = Path(folder) / f"{case}.pt", 0.5 * (case in AVERAGED)
    curve, _ = loop.fit(ensemble, Points(), loss, BUDGETS[normed], 7, scratch, average=average)
    return ensemble.state_dict(), curve


def stopping(stop):
    """`noisy`, but after some calls `stop()`."""
    calls = []

    def loss(*given):
        calls.append(0)
        if len(calls) > STOP:
            stop()
        return noisy(*given)

    return loss


def interrupt():
    raise KeyboardInterrupt


def kill():
    if os.environ["RANK"] == "1" and os.environ["TORCHELASTIC_RESTART_COUNT"] == "0":
        os.kill(os.getpid(), signal.SIGKILL)


def main(folder, *cases):
    """Each case as a stage would train it, but all in one process, which has to start only once."""
    from specialists.training.ranks import Ranks

    torch.set_num_threads(1)
    loop.SAVE_SECONDS = 0
    rank, world, attempt = (int(os.environ[n]) for n in ("RANK", "WORLD_SIZE", "TORCHELASTIC_RESTART_COUNT"))
    store = dist.TCPStore("127.0.0.1", int(os.environ["MASTER_PORT"]), world, is_master=not rank)
    start, losses = dist.init_process_group, {"killed": stopping(kill), "halved": stopping(interrupt)}
    for case in cases:
        Ranks.left = case == "twice"
        own = {"store": dist.PrefixStore(f"{case} {attempt}", store), "rank": rank, "world_size": world}
        dist.init_process_group = partial(start, **own)
        try:
            found = trained(case, folder, losses.get(case, noisy))
        except (KeyboardInterrupt, ValueError) as error:
            found = str(error)
        except SystemExit:
            assert rank, "the first stays"
            continue
        if dist.is_initialized():
            dist.destroy_process_group()
        if not rank:
            torch.save(found, f"{folder}/{case}-{world}.result")


if __name__ == "__main__":
    main(*sys.argv[1:])
