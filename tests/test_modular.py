"""The gated block: its gate by hand, chosen groups alone against all, statistics, a loss of its own."""

import math

import pytest
import torch
from torch import nn

from specialists.networks import modular
from specialists.networks.modular import Block, Gate

GROUPS, WIDTH, INPUTS, OUTPUTS, SIDE, QUESTION = 6, 3, 5, 7, 4, 9


def made(active, stride=1, scope="batch"):
    """A block in evaluation whose norms are no identities."""
    torch.manual_seed(0)
    gate = Gate(INPUTS, SIDE * SIDE, QUESTION, 8, GROUPS, active, scope)
    nn.init.normal_(gate.place_X)
    block = Block(INPUTS, OUTPUTS, GROUPS, WIDTH, stride, gate)
    for norm in block.modules():
        if isinstance(norm, nn.BatchNorm2d):
            for values in (norm.weight, norm.running_var):
                nn.init.uniform_(values, 0.5, 1.5)
            for values in (norm.bias, norm.running_mean):
                nn.init.normal_(values)
    return block.eval()


def asked(size, seed=0):
    generator = torch.Generator().manual_seed(seed)
    return torch.randn(size, INPUTS, SIDE, SIDE, generator=generator), torch.randn(
        size, QUESTION, generator=generator
    )


def slow_gate(gate, image, question):
    """Appendix B for one question, cell by cell and group by group, before others are left out."""
    w, f = {name: value.double() for name, value in gate.state_dict().items()}, []
    cells = [image[:, y, x].double() for y in range(SIDE) for x in range(SIDE)]
    cells = [w["image.weight"] @ cell + w["image.bias"] for cell in cells]
    q = question.double()
    for i, cell in enumerate(cells):
        h = torch.tanh(w["of_image.weight"] @ cell + w["of_question.weight"] @ q + w["of_question.bias"])
        f.append(math.exp((w["attend.weight"] @ h).item() + w["place_X"][i].item()))
    query = sum(share / sum(f) * cell for share, cell in zip(f, cells, strict=True)) + q
    g = [max(0.0, each) for each in (w["groups.weight"] @ query + w["groups.bias"]).tolist()]
    return [each / sum(g) if sum(g) else 1 / GROUPS for each in g]


@pytest.mark.parametrize("active", [1, 3, 6])
@torch.no_grad()
def test_the_gate_is_that_of_the_appendix(active):
    gate, (image, question) = made(active).gate, asked(20)
    weight_BG, chosen_BK = gate(image, question)
    for b in range(20):
        counts = slow_gate(gate, image[b], question[b])
        best = sorted(sorted(range(GROUPS), key=lambda g: (-round(counts[g], 6), g))[:active])
        assert chosen_BK[b].tolist() == best
        assert weight_BG[b].tolist() == pytest.approx(
            [c if g in best else 0 for g, c in enumerate(counts)], abs=1e-5
        )


@torch.no_grad()
def test_where_all_are_zero_all_groups_count_the_same():
    gate = made(2).gate
    nn.init.zeros_(gate.groups.weight)
    nn.init.constant_(gate.groups.bias, -1)
    weight_BG, chosen_BK = gate(*asked(3))
    assert chosen_BK.tolist() == [[0, 1]] * 3
    assert torch.allclose(weight_BG, torch.tensor([1 / 6, 1 / 6, 0, 0, 0, 0]).expand(3, -1))
    assert gate.balance == 0


@pytest.mark.parametrize("scope", ["batch", "sample"])
def test_the_loss_of_its_own_is_the_squared_variation(scope):
    block, (image, question) = made(2, scope=scope).train(), asked(7)
    block.gate(image, question)
    rows = [slow_gate(block.gate, image[b], question[b]) for b in range(7)]
    rows = rows if scope == "sample" else [[sum(each) / 7 for each in zip(*rows, strict=True)]]
    found = [sum((each - 1 / GROUPS) ** 2 for each in row) / GROUPS * GROUPS**2 for row in rows]
    assert block.gate.balance.item() == pytest.approx(sum(found) / len(found), rel=1e-4)
    block.gate.balance.backward()
    assert block.gate.groups.weight.grad.any()


def all_groups(block, image, question):
    """What training computes, with the statistics of evaluation: all groups, those not chosen times zero."""
    weight_BG, _ = block.gate(image, question)
    inner = block.groups_of(image).unflatten(1, (GROUPS, WIDTH)) * weight_BG[..., None, None, None]
    return block.joined(image, inner.flatten(1, 2))


@pytest.mark.parametrize("sets", [0, 1000])  # side by side, one after the other
@pytest.mark.parametrize("active", range(1, GROUPS + 1))
@pytest.mark.parametrize("stride", [1, 2])
@torch.no_grad()
def test_the_chosen_groups_alone_say_what_all_of_them_do(monkeypatch, active, stride, sets):
    monkeypatch.setattr(modular, "SETS", sets)
    block = made(active, stride)
    for size in (1, 2, 17):
        for image, question in (asked(size), asked(size, 1)):
            torch.testing.assert_close(
                block(image, question), all_groups(block, image, question), atol=1e-5, rtol=0
            )


@pytest.mark.parametrize("scale", [0.0, 1e-30, 1.0])
@pytest.mark.parametrize("equal", [(0, 1, 2, 3, 4, 5), (1, 4), (0, 2, 5)])
@torch.no_grad()
def test_also_where_groups_count_the_same(scale, equal):
    block, (image, question) = made(3), asked(9)
    block.gate.groups.weight[[*equal]] = block.gate.groups.weight[equal[0]] * scale
    block.gate.groups.bias[[*equal]] = scale
    torch.testing.assert_close(block(image, question), all_groups(block, image, question), atol=1e-5, rtol=0)


def test_in_training_each_group_has_its_statistics_and_the_chosen_learn():
    block, (image, question) = made(2).train(), asked(8)
    before = block.reduced.running_mean.clone(), block.convolved.running_mean.clone()
    block(image, question).square().sum().backward()
    assert (block.reduced.running_mean != before[0]).all() and (
        block.convolved.running_mean != before[1]
    ).all()
    _, chosen_BK = block.gate(image, question)
    learns = block.reduce.weight.grad.unflatten(0, (GROUPS, WIDTH)).flatten(1).any(1)
    assert {*chosen_BK.unique().tolist()} == {*learns.nonzero().squeeze(1).tolist()}


@torch.no_grad()
def test_without_a_gate_it_is_a_resnext_block():
    torch.manual_seed(0)
    block, (image, _) = Block(INPUTS, INPUTS, GROUPS, WIDTH).eval(), asked(3)
    layers = (
        block.reduce,
        block.reduced,
        nn.ReLU(),
        block.conv,
        block.convolved,
        nn.ReLU(),
        block.expand,
        block.expanded,
    )
    assert torch.allclose(block(image), torch.relu(nn.Sequential(*layers)(image) + image))


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"active": 0}, "active: 0 is out of range: 1 to 6, the groups"),
        ({"active": 7}, "active: 7 is out of range: 1 to 6, the groups"),
        ({"active": 1, "scope": "all"}, "scope: 'all' is unknown; known: batch, sample"),
    ],
)
def test_what_makes_no_sense_is_refused(settings, message):
    with pytest.raises(ValueError, match=message):
        made(**settings)


def test_chance_draws_groups_alike_and_always_the_same_for_a_number():
    drawn, number_B = modular.Drawn(12, 3, seed=1), torch.arange(6000) * 977
    weight_BG, chosen_BK = drawn(torch.zeros(1), number_B)
    assert weight_BG.gather(1, chosen_BK).unique().tolist() == [pytest.approx(1 / 3)]
    assert torch.equal((weight_BG > 0).sum(1), torch.full((6000,), 3))
    counts = chosen_BK.flatten().bincount()  # 1,500 each, with a standard deviation of 34
    assert counts.min() > 1500 - 5 * 34 and counts.max() < 1500 + 5 * 34
    together = (weight_BG > 0).double().T @ (weight_BG > 0).double()  # of each pair 273, s.d. 16
    pairs = together[~torch.eye(12, dtype=torch.bool)]
    assert pairs.min() > 273 - 5 * 17 and pairs.max() < 273 + 5 * 17
    other_BG, _ = modular.Drawn(12, 3, seed=2)(torch.zeros(1), number_B)
    assert ((other_BG > 0) == (weight_BG > 0)).all(1).double().mean() == pytest.approx(1 / 220, abs=0.005)
    assert torch.equal(drawn(torch.zeros(1), number_B[7:9])[0], weight_BG[7:9])
