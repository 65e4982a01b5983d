"""What is measured on answers that are already computed; accuracies and ECE in percent, NLL in nats.

M members, B examples, C answers
"""

import torch

from specialists.answers.ensemble import mean

BINS = 15


def accuracy(logits_MBC, target_B, task):
    """Top-1 of the mean prediction, oracle (the member that is most right), and the members one by one."""
    right_MB = task.right(logits_MBC.argmax(2), target_B)
    single_M = percent(right_MB, 1)
    return {
        "top1": percent(task.right(mean(logits_MBC, task).argmax(1), target_B)).item(),
        "oracle": percent(right_MB.amax(0)).item(),
        "single": single_M.mean().item(),
        "single_min": single_M.min().item(),
        "single_max": single_M.max().item(),
    }


def calibration(probability_BC, target_B, task):
    """NLL of the answer; ECE: the mean gap between confidence and accuracy over equal bins of confidence."""
    nll = task.nll(probability_BC, target_B).mean()
    confidence_B, answer_B = probability_BC.max(1)
    gap_B = confidence_B.double() - task.right(answer_B, target_B).double()
    ece = torch.bincount(binned(confidence_B), weights=gap_B).abs().sum() / len(gap_B)
    return {"nll": nll.item(), "ece": 100 * ece.item()}


def by_confidence(confidence_B, right_B):
    """The mean's confidence and accuracy, in percent: a point for each bin of ECE that has examples."""
    bin_B = binned(confidence_B)
    promised, kept = (by_group(each_B, bin_B, range(BINS)) for each_B in (confidence_B, right_B))
    count = bin_B.bincount(minlength=BINS).tolist()
    return [{"confidence": promised[b], "top1": kept[b], "examples": count[b]} for b in promised]


def binned(confidence_B):
    return (confidence_B * BINS).long().clamp_max(BINS - 1)


def by_group(right_B, group_B, names):
    """Percent right in each group by its name, without the groups that have no example."""
    count_G = torch.bincount(group_B, minlength=len(names)).tolist()
    right_G = torch.bincount(group_B, weights=right_B.double(), minlength=len(names)).tolist()
    return {name: 100 * r / n for name, r, n in zip(names, right_G, count_G, strict=True) if n}


def entropy(count_M):
    """How evenly examples are assigned, in units of log M: 1 = all members get the same, 0 = one gets all."""
    share_M = count_M / count_M.sum()
    return (torch.special.entr(share_M).sum() / torch.tensor(float(len(count_M))).log()).item()


def percent(right, dim=None):
    return 100 * (right.double().mean() if dim is None else right.double().mean(dim))
