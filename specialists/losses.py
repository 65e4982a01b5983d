"""Multiple choice learning: Eq. 1-6 of *Learning to Specialize with Knowledge Distillation* in one file.

M members, B batch, C answers
task: what a member pays for an example when it is chosen; other: what it pays when it is not

A method is the price of not being chosen, METHODS[name](logits_MBC, teacher_MBC, generator, settings); the
rest is common to all:

    loss = min over v with sum(v) = k of  sum_m  v_m task_m + (1 - v_m) other_m                  (Eq. 2-4)

Every function returns one value per member and example; `oracle_loss` sums over members and leaves the batch.
"""

import math

import torch
import torch.nn.functional as F


def task_loss(logits_MBC, label_B):
    """Eq. 6: the negative log-likelihood of the answer."""
    log_p_MBC = logits_MBC.log_softmax(2)
    label_MB1 = label_B.view(1, -1, 1).expand(len(logits_MBC), -1, 1)
    return -log_p_MBC.gather(2, label_MB1).squeeze(2)


def assign(cost_MB, k):
    """arg min over the assignments A_{k,M}: the k members of least `cost`, of equals the lower index."""
    members = len(cost_MB)
    if not 1 <= k <= members:
        raise ValueError(f"k = {k} is out of range: 1 to {members}, the number of members")
    chosen_kB = cost_MB.argsort(dim=0, stable=True)[:k]
    return torch.zeros_like(cost_MB, dtype=torch.bool).scatter_(0, chosen_kB, True)


def oracle_loss(task_MB, other_MB, k):
    """Eq. 2-4: the k members for which it is cheapest learn the example, the rest pay `other`.

    sum_chosen task + sum_rest other = sum other + sum_chosen (task - other),
    so the best of all C(M, k) splits is the k smallest differences. The choice is not differentiated.
    """
    if task_MB.shape != other_MB.shape:
        raise ValueError(f"task {tuple(task_MB.shape)} and other {tuple(other_MB.shape)} differ in shape")
    chosen_MB = assign((task_MB - other_MB).detach(), k)
    return torch.where(chosen_MB, task_MB, other_MB).sum(0), chosen_MB


def mcl(logits_MBC, teacher_MBC, generator):
    """Eq. 2: a member that is not chosen pays nothing and learns nothing."""
    return logits_MBC.new_zeros(logits_MBC.shape[:2])


def cmcl(logits_MBC, teacher_MBC, generator, *, beta: float, form: str):
    """Eq. 3: beta KL(uniform || p_m) = beta (-log C - mean_c log p_m[c]).

    `exact` is the equation. `stochastic` has its value and the gradient of the cross-entropy against one
    uniformly random label (Lee et al., 2017), which is the gradient of the equation in expectation.
    """
    log_p_MBC = logits_MBC.log_softmax(2)
    answers = logits_MBC.shape[2]
    exact_MB = -math.log(answers) - log_p_MBC.mean(2)
    if not beta >= 0:
        raise ValueError(f"beta: {beta} is out of range: at least 0")
    if form == "exact":
        return beta * exact_MB
    if form == "stochastic":
        label_MB = torch.randint(answers, exact_MB.shape, generator=generator, device=logits_MBC.device)
        drawn_MB = -log_p_MBC.gather(2, label_MB.unsqueeze(2)).squeeze(2)
        return beta * (exact_MB.detach() + drawn_MB - drawn_MB.detach())
    raise ValueError(f"form: {form!r}; known: exact, stochastic")


def mcl_kd(logits_MBC, teacher_MBC, generator, *, beta: float, temperature: float, form: str):
    """Eq. 5: beta KL(teacher_m at T || p_m at T), where teacher_m is the base model that member m started
    from.

    `kl` is the equation, summed over answers. `ce` is the authors' code: the cross-entropy, without the
    teacher's entropy and divided by C; it has the gradient of kl / C but assigns examples differently.
    """
    if logits_MBC.shape != teacher_MBC.shape:
        raise ValueError(
            f"logits {tuple(logits_MBC.shape)} and teacher {tuple(teacher_MBC.shape)} differ in shape"
        )
    if not beta >= 0:
        raise ValueError(f"beta: {beta} is out of range: at least 0")
    if not temperature > 0:
        raise ValueError(f"temperature: {temperature} is out of range: above 0")
    log_p_MBC = (logits_MBC / temperature).log_softmax(2)
    log_t_MBC = (teacher_MBC / temperature).log_softmax(2)
    if form == "kl":
        return beta * F.kl_div(log_p_MBC, log_t_MBC, reduction="none", log_target=True).sum(2)
    if form == "ce":
        return beta * -(log_t_MBC.exp() * log_p_MBC).mean(2)
    raise ValueError(f"form: {form!r}; known: kl, ce")


# With k = M nobody is left out and every method is the independent ensemble: IE, and IE+ which trains it on.
GENERALISTS = ("ie", "ie_plus", "ie_plus_fs")
METHODS = {"ie": mcl, "ie_plus": mcl, "mcl": mcl, "cmcl": cmcl, "mcl_kd": mcl_kd}
# The same with feature sharing (section 4.3), which is a property of the ensemble.
METHODS |= {"ie_plus_fs": mcl, "cmcl_fs": cmcl, "mcl_kd_fs": mcl_kd}
