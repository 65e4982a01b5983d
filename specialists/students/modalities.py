"""Modality-specific distillation (Jin et al.): the student also imitates its teacher on one modality alone.

    loss = KD(both) + strength * sum_i w_i T^2 D(teacher_i || student_i),    i: image alone, question alone

KD is that of distillation.py. The methods differ in the teacher and in the weights w: none; one per modality
(population); or one per example. The last follow the saliency of the modality to the teacher (instance), or a
small net that learns which imitation helps on other examples (meta, in weigher.py). We know only the
abstract of the paper.

I modalities left alone, V views: both modalities, then each alone; M members, B batch, N examples, C answers,
R cells, F channels, L words
"""

from dataclasses import dataclass

import torch
from torch import nn
from torch.func import functional_call

from specialists.answers import ensemble
from specialists.base.runtime import precision
from specialists.data.text import PADDING, UNKNOWN
from specialists.networks.portable import plain
from specialists.students import MODALITIES, distillation
from specialists.students.weigher import Weigher, meta_gradient

RATE = 0.1  # of the virtual step, which is plain gradient descent
FORMS = ("kl", "mse")

# From the members' answers to one distribution; `specialist` is the member that an example is assigned to.
TEACHERS = {
    "mean": lambda logits_MBC, specialist_B, task: ensemble.mean(logits_MBC, task),
    "member": lambda logits_MBC, specialist_B, task: task.distribution(logits_MBC[0]),
    "choice": lambda logits_MBC, specialist_B, task: task.distribution(
        logits_MBC[specialist_B, range(len(specialist_B))]
    ),
}

# From a modality's saliency to the teacher in each example to its weights; "meta" are learned.
FIXED = {
    "none": torch.zeros_like,
    "population": lambda salient_IN: salient_IN.mean(1, keepdim=True).expand_as(salient_IN),
    "instance": lambda salient_IN: salient_IN,
}
WEIGHTS = (*FIXED, "meta")


@dataclass(frozen=True)
class Method:
    """A row of the table: alpha and temperature are plain KD's, alpha = 0 is a student that learns alone.

    `budget` names a row of distill.budgets: a student alone overfits where one that is taught still gains.
    Learned weights learn in one of `every` steps, which is nearly all that they cost.
    """

    budget: str
    teacher: str
    alpha: float
    temperature: float
    weights: str = "none"
    strength: float = 1.0
    form: str = "kl"
    absent: str = "zero"
    every: int = 1

    def __post_init__(self):
        known = {"teacher": TEACHERS, "weights": WEIGHTS, "form": FORMS, "absent": ("zero", "learned")}
        for name, values in known.items():
            if getattr(self, name) not in values:
                raise ValueError(f"{name}: {getattr(self, name)!r} is unknown; known: {', '.join(values)}")
        for name, least in (("strength", 0), ("every", 1)):
            if not getattr(self, name) >= least:
                raise ValueError(f"{name}: {getattr(self, name)} is out of range: at least {least}")
        if not 0 <= self.alpha <= 1:
            raise ValueError(f"alpha: {self.alpha} is out of range: 0 to 1")
        if not self.temperature > 0:
            raise ValueError(f"temperature: {self.temperature} is out of range: above 0")


def alone(inputs, modality, absent_F, word):
    """Inputs that show one modality; the other is `absent_F` in every cell, or one `word`."""
    image_BRF, tokens_BL, length_B = inputs
    if modality == "image":
        return image_BRF, torch.full_like(tokens_BL[:, :1], word), torch.ones_like(length_B)
    # copied, because oneDNN's products crawl where a stride is 0
    return absent_F.to(image_BRF).expand_as(image_BRF).contiguous(), tokens_BL, length_B


class Blind(nn.Module):
    """An ensemble that is shown one modality alone."""

    def __init__(self, ensemble, modality, absent_F, word):
        super().__init__()
        self.ensemble, self.modality, self.word = ensemble, modality, word
        self.register_buffer("absent_F", absent_F)

    def forward(self, *inputs):
        return self.ensemble(*alone(inputs, self.modality, self.absent_F, self.word))


def imitation(logits_BC, teacher_BC, task, *, temperature: float, form: str):
    """T^2 KL(teacher at T || student at T), or T^2 times their squared distance, per example."""
    log_s_BC, log_t_BC = distillation.softened(logits_BC, teacher_BC, task, temperature)
    if form == "kl":
        return temperature**2 * task.divergence(log_s_BC, log_t_BC)
    return temperature**2 * (log_s_BC.exp() - log_t_BC.exp()).square().sum(1)


def saliency(both_BC, only_IBC, task):
    """exp(-KL(teacher of both || teacher of one)): 1 where one modality says all that the teacher says."""
    log_only_IBC = task.logs(only_IBC.clamp_min(1e-12))
    log_both_BC = task.logs(both_BC.clamp_min(1e-12))
    return (-task.divergence(log_only_IBC, log_both_BC.expand_as(log_only_IBC))).clamp_max(0).exp()


class Senses(nn.Module):
    """A network that in training answers three times: to both modalities and to each alone.

    logits_VBC; in evaluation, or with `weights` none, V = 1. What stands for an absent modality is zero, or
    learned with the rest: a vector for all cells, the embedding of the unknown word.
    """

    def __init__(self, network, channels, method):
        super().__init__()
        self.network, self.several = network, method.weights != "none"
        learned = method.absent == "learned"
        self.absent_F = nn.Parameter(torch.zeros(channels), requires_grad=learned)
        self.word = UNKNOWN if learned else PADDING
        self.weigher = Weigher() if method.weights == "meta" else None
        self.every = method.every
        self.register_buffer("steps", torch.zeros((), dtype=torch.int64))

    @property
    def members(self):
        return [self]

    def forward(self, *inputs, generator=None):
        with precision():
            said = [self.network(*inputs)]
            if self.training and self.several:
                said += [self._aside(alone(inputs, m, self.absent_F, self.word)) for m in MODALITIES]
            return torch.stack(said).float()

    def _aside(self, inputs, theta=None):
        """A pass, perhaps with other weights, that leaves batch normalisation as it was."""
        state = {name: value.clone() for name, value in self.network.named_buffers()}
        return functional_call(self.network, (theta or {}) | state, inputs)

    def weigh(self, base_B, aux_IB, inputs, only_IBC, imitate, clean, task):
        """w_IB, once the weigher has learned from what a virtual step would do to a clean batch."""
        self.steps += 1
        if (self.steps.item() - 1) % self.every:
            return self.weigher(aux_IB.detach()).detach()
        theta = {name: value.detach() for name, value in self.network.named_parameters()}
        told_IB = aux_IB.detach()
        total = (base_B + (self.weigher(told_IB).detach() * aux_IB).sum(0)).mean()
        slopes = torch.autograd.grad(total, list(self.network.parameters()), retain_graph=True)
        step = {name: RATE * slope for name, slope in zip(theta, slopes, strict=True)}

        def aux(theta):
            asked = [alone(inputs, modality, self.absent_F.detach(), self.word) for modality in MODALITIES]
            said = [self._aside(each, theta) for each in asked]
            return torch.stack([imitate(*pair) for pair in zip(said, only_IBC, strict=True)])

        def meta(theta):
            inputs, target_B = clean
            return task.loss(self._aside(inputs, theta), target_B).mean()

        with plain():
            self.weigher.learn(told_IB, RATE * meta_gradient(theta, step, aux, meta))
        return self.weigher(told_IB).detach()
