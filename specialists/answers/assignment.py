"""Multiple choice learning: which members learn an example, and what that costs (Eq. 2-4 of MCL-KD).

M members, B batch
task: what a member pays for an example when it is chosen; other: what it pays when it is not
"""

import torch


def assign(cost_MB, k):
    """arg min over the assignments A_{k,M}: the k members of least `cost`; the lower index wins a tie."""
    members = len(cost_MB)
    if not 1 <= k <= members:
        raise ValueError(f"k = {k} is out of range: 1 to {members}, the number of members")
    chosen_kB = cost_MB.argsort(dim=0, stable=True)[:k]
    return torch.zeros_like(cost_MB, dtype=torch.bool).scatter_(0, chosen_kB, True)


def oracle_loss(task_MB, other_MB, k):
    """Eq. 4: the k members that learn the example most cheaply learn it, the rest pay `other`.

    min over v with sum(v) = k of  sum_m  v_m task_m + (1 - v_m) other_m
    = sum other + min over v of sum_chosen (task - other),
    so the best of all C(M, k) splits is the k smallest differences. The choice is not differentiated.
    """
    if task_MB.shape != other_MB.shape:
        raise ValueError(f"task {tuple(task_MB.shape)} and other {tuple(other_MB.shape)} differ in shape")
    chosen_MB = assign((task_MB - other_MB).detach(), k)
    return torch.where(chosen_MB, task_MB, other_MB).sum(0), chosen_MB
