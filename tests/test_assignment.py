"""Eq. 4 against brute force over all C(M, k) splits."""

from itertools import combinations

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from specialists.answers.assignment import assign, oracle_loss

M, B = 5, 64


def draw(seed):
    return 3 * torch.randn(M, B, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


TASK, OTHER = draw(0), draw(1)


@pytest.mark.parametrize("k", range(1, M + 1))
def test_oracle_loss_is_the_best_of_all_splits(k):
    loss, chosen = oracle_loss(TASK, OTHER, k)
    for b in range(B):
        costs = {
            split: sum((TASK if m in split else OTHER)[m, b].item() for m in range(M))
            for split in combinations(range(M), k)
        }
        assert loss[b].item() == pytest.approx(min(costs.values()), rel=1e-12)
        assert tuple(chosen[:, b].nonzero().squeeze(1).tolist()) == min(costs, key=costs.get)


def test_who_is_chosen_pays_task_and_learns_and_the_rest_other():
    """Members cost 1, 5, 2 to choose and 4, 4, 4 to leave out: the differences are -3, 1, -2."""
    task = torch.tensor([[1.0], [5.0], [2.0]], requires_grad=True)
    other = torch.tensor([[4.0], [4.0], [4.0]], requires_grad=True)
    loss, chosen = oracle_loss(task, other, 2)
    loss.sum().backward()
    assert loss.tolist() == [1 + 4 + 2] and chosen.squeeze(1).tolist() == [True, False, True]
    assert task.grad.squeeze(1).tolist() == [1, 0, 1] and other.grad.squeeze(1).tolist() == [0, 1, 0]


@given(st.integers(1, 6).flatmap(lambda m: st.tuples(st.just(m), st.integers(1, m))), st.integers(0, 2**32))
@settings(max_examples=50, deadline=None)
def test_assign_chooses_k_and_no_cheaper_member_is_left_out(m_k, seed):
    m, k = m_k
    # Few distinct values, so that ties occur.
    cost = torch.randint(4, (m, 20), generator=torch.Generator().manual_seed(seed)).float()
    chosen = assign(cost, k)
    assert (chosen.sum(0) == k).all()
    assert (cost.masked_fill(~chosen, -1).amax(0) <= cost.masked_fill(chosen, 9).amin(0)).all()


def test_ties_go_to_the_lower_index():
    assert assign(torch.zeros(4, 1), 2).squeeze(1).tolist() == [True, True, False, False]


@pytest.mark.parametrize("k", [0, 6, -1])
def test_k_out_of_range_is_named(k):
    with pytest.raises(ValueError, match=f"k = {k} is out of range: 1 to 5"):
        assign(torch.zeros(M, B), k)


def test_wrong_shapes_raise():
    with pytest.raises(ValueError, match="differ in shape"):
        oracle_loss(torch.zeros(M, B), torch.zeros(B), 1)
