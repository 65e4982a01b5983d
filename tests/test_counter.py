"""The counting module against its formula, written slowly, and on its toy task."""

import math

import pytest
import torch
from torch.nn.functional import cross_entropy

from specialists.networks import counter


def slow(box_K4, logit_K, most, bent):
    """The formula of the paper, one box at a time, with every line straight; `bent` as the slides do."""

    def iou(a, b):
        width = max(0, min(a[2], b[2]) - max(a[0], b[0]))
        height = max(0, min(a[3], b[3]) - max(a[1], b[1]))
        areas = [(x[2] - x[0]) * (x[3] - x[1]) for x in (a, b)]
        return width * height / (sum(areas) - width * height)

    best = sorted(range(len(logit_K)), key=lambda i: -logit_K[i])[:most]
    boxes, a = [box_K4[i] for i in best], [1 / (1 + math.exp(-logit_K[i])) for i in best]
    n = range(most)
    bend = (lambda x: x ** (2 * (1 - x))) if bent else (lambda x: x)
    weight = [[bend(a[i] * a[j]) for j in n] for i in n]
    apart = [[bend(1 - iou(boxes[i], boxes[j])) for j in n] for i in n]
    edge = [[weight[i][j] * apart[i][j] for j in n] for i in n]
    alike = [
        [(1 - abs(a[i] - a[j])) * math.prod(1 - abs(edge[i][m] - edge[j][m]) for m in n) for j in n]
        for i in n
    ]
    seen = [sum(row) for row in alike]
    total = sum(edge[i][j] / (seen[i] * seen[j]) for i in n for j in n)
    count = math.sqrt(total + sum(a[i] ** 2 / seen[i] for i in n))
    trust = sum(abs(x - 0.5) for x in a) / most + sum(abs(x - 0.5) for row in apart for x in row) / most**2
    count = min(count, most)
    return [max(0, 1 - abs(count - c)) * min(1, trust) for c in range(most + 1)]


def drawn(boxes, generator):
    corner = torch.rand(boxes, 2, generator=generator, dtype=torch.float64)
    size = torch.rand(boxes, 2, generator=generator, dtype=torch.float64) + 0.1
    return torch.cat([corner, corner + size], 1)


@pytest.mark.parametrize("bent", [False, True])
@pytest.mark.parametrize("boxes", [4, 9])
def test_it_is_the_formula_of_the_paper(boxes, bent):
    generator, module = torch.Generator().manual_seed(boxes), counter.Counter(4, sharpen=bent).double()
    for _ in range(20):
        box_K4 = drawn(boxes, generator)
        logit_K = 3 * torch.randn(boxes, generator=generator, dtype=torch.float64)
        found_C = module(box_K4[None], logit_K[None])[0]
        expected = torch.tensor(slow(box_K4.tolist(), logit_K.tolist(), 4, bent), dtype=torch.float64)
        torch.testing.assert_close(found_C, expected, rtol=0, atol=1e-9)


def sure(logit, box):
    return counter.Counter(len(logit))(torch.tensor([box]), 40 * torch.tensor([logit]))[0]


def test_boxes_apart_count_once_each_and_boxes_on_one_another_once_together():
    left, right = [0.0, 0.0, 1.0, 1.0], [2.0, 0.0, 3.0, 1.0]
    assert sure([1.0, 1.0, -1.0], [left, right, right]).argmax() == 2
    assert sure([1.0, 1.0, 1.0], [left, left, left]).argmax() == 1
    assert sure([1.0, 1.0, 1.0], [left, left, right]).argmax() == 2
    assert sure([-1.0, -1.0], [left, right]).argmax() == 0


def test_a_line_goes_from_0_to_1_and_rises_whatever_it_learned():
    line = counter.Line()
    x = torch.linspace(0, 1, 101)
    torch.testing.assert_close(line(x), x)
    with torch.no_grad():
        line.rise_D.normal_(generator=torch.Generator().manual_seed(0))
    assert line(x[:1]) == 0 and line(x[-1:]).item() == pytest.approx(1)
    assert (line(x).diff() >= 0).all()
    assert (line(torch.tensor([-1.0, 2.0])) == line(torch.tensor([0.0, 1.0]))).all()


def test_sharpening_keeps_0_and_1_and_pulls_the_rest_apart():
    x = torch.tensor([0.0, 0.2, 0.9, 1.0])
    torch.testing.assert_close(counter.sharper(x), x ** (2 * (1 - x)))
    assert counter.sharper(x)[1] < x[1] and counter.sharper(x)[2] > x[2]


def test_the_slope_reaches_attention_and_lines():
    module = counter.Counter(3).double()
    generator = torch.Generator().manual_seed(1)
    box, logit = drawn(5, generator)[None], torch.randn(1, 5, dtype=torch.float64, generator=generator)
    assert torch.autograd.gradcheck(lambda x: module(box, x), logit.requires_grad_())
    module(box, logit).square().sum().backward()
    assert all(line.rise_D.grad.abs().sum() > 0 for line in module.lines)


# --- the toy task of the paper: squares at random in a square, so many of them true; a box weighs as much as
# --- it overlaps with a true one, and part of its weight is noise


def toy(examples, side, noise, generator, boxes=10):
    """(boxes, weights of attention, how many are true)"""
    corner_BK2 = torch.rand(examples, boxes, 2, generator=generator) * (1 - side)
    count_B = torch.randint(boxes + 1, (examples,), generator=generator)
    true_BK = torch.arange(boxes) < count_B.unsqueeze(1)
    apart_BKK2 = (corner_BK2.unsqueeze(2) - corner_BK2.unsqueeze(1)).abs()
    both_BKK = (side - apart_BKK2).clamp_min(0).prod(3)
    over_BKK = both_BKK / (2 * side**2 - both_BKK)
    signal_BK = (over_BKK * true_BK.unsqueeze(1)).amax(2)
    noise_BK = torch.rand(examples, boxes, generator=generator)
    return torch.cat([corner_BK2, corner_BK2 + side], 2), signal_BK.lerp(noise_BK, noise), count_B


def learned(features, parameters, side, noise, generator, steps, batch=128):
    """How often a linear layer on some features, trained with them, names the right number."""
    layer = torch.nn.Linear(11, 11)
    torch.nn.init.eye_(layer.weight)
    optimizer = torch.optim.Adam([*parameters, *layer.parameters()], lr=0.01)
    for _ in range(steps):
        box_BK4, weight_BK, count_B = toy(batch, side, noise, generator)
        optimizer.zero_grad()
        cross_entropy(layer(features(box_BK4, weight_BK)), count_B).backward()
        optimizer.step()
    with torch.no_grad():
        box_BK4, weight_BK, count_B = toy(4000, side, noise, generator)
        return (layer(features(box_BK4, weight_BK)).argmax(1) == count_B).double().mean().item()


@pytest.mark.parametrize(
    ("side", "noise", "steps", "counted", "summed"),
    [
        (0.5, 0.0, 300, (0.97, 1), (0.6, 0.72)),  # after 1,000 larger steps 0.997 and 0.67
        (0.5, 0.1, 300, (0.88, 1), (0.55, 0.72)),
        (0.001, 0.0, 20, (0.98, 1), (0.98, 1)),  # nothing overlaps, so a sum can count
    ],
)
def test_on_the_toy_task_of_the_paper_it_counts_and_the_sum_of_weights_does_not(
    side, noise, steps, counted, summed
):
    module, generator = counter.Counter(10), torch.Generator().manual_seed(0)

    def counts(box_BK4, weight_BK):
        return module(box_BK4, weight_BK.logit(1e-6))

    def sums(box_BK4, weight_BK):
        return (1 - (weight_BK.sum(1, keepdim=True) - torch.arange(11)).abs()).clamp_min(0)

    for features, learnt, (low, high) in ((counts, module.parameters(), counted), (sums, [], summed)):
        torch.manual_seed(0)
        assert low < learned(features, learnt, side, noise, generator, steps) <= high
