"""Voting against ballots counted one by one."""

from collections import Counter

import torch
from hypothesis import given
from hypothesis import strategies as st

from specialists.answers import ballots, label, votes

KINDS = torch.tensor([0, 0, 1, 1, 2])


def elected(candidates, count, probability):
    """Most votes, then most probability, then the first."""
    return max(candidates, key=lambda each: (count[each], probability[each], -each))


def by_hand(logits_MC, kind_C, task):
    """(majority, by type) of one question."""
    probability = task.distribution(logits_MC).tolist()
    members, answers = range(len(probability)), range(len(kind_C))
    total = [sum(probability[m][c] for m in members) for c in answers]

    def best(m, allowed):
        return max(allowed, key=lambda c: (probability[m][c], -c))

    said = [best(m, answers) for m in members]
    types = Counter(int(kind_C[c]) for c in said)
    sure = Counter()
    for m in members:
        sure[int(kind_C[said[m]])] += probability[m][said[m]]
    kind = elected(range(3), types, sure)
    again = Counter(best(m, [c for c in answers if kind_C[c] == kind]) for m in members)
    return elected(answers, Counter(said), total), elected(answers, again, total)


@given(st.integers(0, 2**31), st.sampled_from([label, votes]), st.sampled_from([0.3, 3.0]))
def test_as_counted_by_hand(seed, task, scale):
    logits_MBC = scale * torch.randn(
        5, 8, 5, generator=torch.Generator().manual_seed(seed), dtype=torch.float64
    )
    plain = ballots.majority(logits_MBC, task)
    typed = ballots.by_type(logits_MBC, KINDS, 3, task)
    for b in range(8):
        assert (plain[b], typed[b]) == by_hand(logits_MBC[:, b], KINDS, task)


def test_who_is_outvoted_on_the_type_votes_for_its_best_answer_of_it():
    """Three say a number, each another one; two say yes. With one voice each, yes would win."""
    logits = torch.tensor(
        [[3.0, 0, 5, 0, 0], [3, 0, 0, 5, 0], [0, 3, 0, 4, 5], [5, 0, 1, 2, 0], [5, 0, 1, 2, 0]]
    )
    kind_C = torch.tensor([0, 0, 1, 1, 1])
    logits_MBC = logits.unsqueeze(1)
    assert ballots.majority(logits_MBC, label).item() == 0
    assert ballots.by_type(logits_MBC, kind_C, 2, label).item() == 3


def test_accuracy_by_type_leaves_out_types_that_nobody_asked_for():
    found = ballots.by_kind(
        torch.tensor([1.0, 0.6, 0.0]), torch.tensor([0, 0, 2]), ("yes/no", "number", "other")
    )
    assert {name: round(value, 4) for name, value in found.items()} == {
        "overall": 53.3333,
        "yes/no": 80,
        "other": 0,
    }
