"""Learned weights of examples: a small net learns from what a step of the student does to other examples.

It is Meta-Weight-Net (Shu et al., 2019), with one net for each modality.

I modalities left alone, B batch
"""

import torch
from torch import nn
from torch.func import grad, jvp

from specialists.students import MODALITIES


def meta_gradient(theta, step, aux, meta):
    """d meta(theta - step) / d w_ib / rate, where step = rate grad mean_b (base_b + sum_i w_ib aux_ib).

    `aux` maps parameters to aux_IB, `meta` to a number. The weights enter linearly, so the derivative is
    -1/B <grad aux_ib(theta), grad meta(theta - step)>; the inner products of a whole batch are one pass of
    forward-mode differentiation along grad meta.
    """
    virtual = {name: value - step[name] for name, value in theta.items()}
    _, slope_IB = jvp(aux, (theta,), (grad(meta)(virtual),))
    return -slope_IB / slope_IB.shape[1]


class Weigher(nn.Module):
    """One small net per modality, from the value of an example's imitation loss to its weight in 0 to 1.

    Its size and its optimizer are those of Shu et al.'s code.
    """

    def __init__(self, units=100, lr=1e-3):
        super().__init__()
        self.nets = nn.ModuleList(
            nn.Sequential(nn.Linear(1, units), nn.ReLU(), nn.Linear(units, 1), nn.Sigmoid())
            for _ in MODALITIES
        )
        self.optimizer = torch.optim.Adam(self.parameters(), lr=lr, weight_decay=1e-4, fused=True)

    def forward(self, aux_IB):
        return torch.stack(
            [net(a_B.unsqueeze(1)).squeeze(1) for net, a_B in zip(self.nets, aux_IB, strict=True)]
        )

    def learn(self, aux_IB, slope_IB):
        """One step down the meta loss, whose derivative by the weights is `slope`."""
        slopes = torch.autograd.grad(self(aux_IB), list(self.parameters()), slope_IB)
        for parameter, slope in zip(self.parameters(), slopes, strict=True):
            parameter.grad = slope
        self.optimizer.step()
        self.optimizer.zero_grad()  # to None, so that the student's own optimizer skips them

    def get_extra_state(self):
        return self.optimizer.state_dict()

    def set_extra_state(self, state):
        self.optimizer.load_state_dict(state)
