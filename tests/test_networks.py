"""The answering networks against a slow reference, their sizes, and what padding must not change."""

import math

import pytest
import torch

from specialists.ensemble import Ensemble
from specialists.networks import mlp, network, san

GRID, F, WORDS, ANSWERS = [3, 4], 8, 11, 5
SMALL = {"blocks": 1, "width": 4, "embedding": 6, "lstm": 7, "pool": "last"}
NETWORKS = {
    "san": lambda **more: san.Network(
        GRID, F, WORDS, ANSWERS, **SMALL | {"attention": 9, "glimpses": 2, "hidden": 10} | more
    ),
    "mlp": lambda **more: mlp.Network(GRID, F, WORDS, ANSWERS, **SMALL | {"hidden": [10, 12]} | more),
}
every_network = pytest.mark.parametrize("name", NETWORKS)


def inputs(batch=6):
    generator = torch.Generator().manual_seed(0)
    length = torch.randint(1, 9, (batch,), generator=generator)
    length[0] = 8
    tokens = torch.randint(1, WORDS, (batch, 8), generator=generator) * (
        torch.arange(8) < length.unsqueeze(1)
    )
    return torch.rand(batch, 12, F, generator=generator), tokens, length


def build(name, **more):
    torch.manual_seed(0)
    return NETWORKS[name](**more).eval()


def lstm(module, rows):
    """The equations of an LSTM, one word at a time."""
    h = c = torch.zeros(module.hidden_size)
    outputs = []
    for x in rows:
        gates = module.weight_ih_l0 @ x + module.bias_ih_l0 + module.weight_hh_l0 @ h + module.bias_hh_l0
        i, f, g, o = gates.chunk(4)
        c = f.sigmoid() * c + i.sigmoid() * g.tanh()
        h = o.sigmoid() * c.tanh()
        outputs.append(h)
    return torch.stack(outputs)


@torch.no_grad()
@pytest.mark.parametrize("pool", ["last", "mean"])
def test_san_is_attention_written_out_cell_by_cell(pool):
    net, (image, tokens, length) = build("san", pool=pool), inputs()
    found = net(image, tokens, length)
    seen = net.stem(image)
    for b in range(len(image)):
        words = lstm(net.question.lstm, net.question.embedding(tokens[b, : length[b]]))
        q = words[-1] if pool == "last" else words.mean(0)
        joint = torch.cat([net.ask_image.weight, net.ask_question.weight], 1)
        scores = [
            net.glimpse.weight @ (joint @ torch.cat([cell, q]) + net.ask_image.bias).relu() + net.glimpse.bias
            for cell in seen[b]
        ]
        glimpses = []
        for g in range(2):
            powers = [math.exp(score[g]) for score in scores]
            glimpses.append(sum(p / sum(powers) * cell for p, cell in zip(powers, seen[b], strict=True)))
        hidden = (net.hidden.weight @ torch.cat([*glimpses, q]) + net.hidden.bias).relu()
        torch.testing.assert_close(found[b], net.answer.weight @ hidden + net.answer.bias)


@torch.no_grad()
def test_the_stem_is_a_residual_block_over_the_grid():
    """A 3x3 neighbourhood: what changes in one cell reaches its neighbours and no further."""
    net, (image, _, _) = build("san"), inputs(1)
    other = image.clone()
    other[0, 0] += 1
    changed = (net.stem(image) != net.stem(other)).any(2)[0].view(3, 4)
    assert changed.nonzero().tolist() == [[0, 0], [0, 1], [1, 0], [1, 1]]
    assert build("san", blocks=0).stem(image).equal(image)


@torch.no_grad()
@every_network
@pytest.mark.parametrize("pool", ["last", "mean"])
def test_padding_and_company_change_nothing(name, pool):
    net, (image, tokens, length) = build(name, pool=pool), inputs()
    together = net(image, tokens, length)
    for b, n in enumerate(length):
        alone = net(image[b : b + 1], tokens[b : b + 1, :n], length[b : b + 1])
        torch.testing.assert_close(together[b : b + 1], alone, atol=1e-5, rtol=1e-5)


@every_network
def test_every_parameter_gets_a_gradient(name):
    net = build(name)
    net(*inputs()).sum().backward()
    assert all(p.grad is not None and p.grad.abs().sum() > 0 for p in net.parameters())


def test_the_papers_san_has_four_and_a_half_million_parameters():
    settings = {"blocks": 2, "width": 128, "embedding": 300, "lstm": 256, "pool": "last"}
    net = san.Network([14, 14], 1024, 86, 28, **settings, attention=512, glimpses=2, hidden=1024)
    stem = 2 * (1024 * 128 + 9 * 128 * 128 + 128 * 1024 + 2 * (128 + 128 + 1024))
    question = 86 * 300 + 4 * 256 * (300 + 256 + 2)
    attention = (1024 + 256) * 512 + 512 + 2 * 512 + 2
    answer = (2 * 1024 + 256) * 1024 + 1024 + 1024 * 28 + 28
    assert sum(p.numel() for p in net.parameters()) == stem + question + attention + answer
    assert 4.4e6 < stem + question + attention + answer < 4.6e6


def test_members_answer_side_by_side():
    torch.manual_seed(0)
    members = [NETWORKS["san"]() for _ in range(3)]
    logits = Ensemble(members).eval()(*inputs())
    assert logits.shape == (3, 6, ANSWERS) and logits.dtype == torch.float32
    for member, logits_BC in zip(members, logits, strict=True):
        # bf16 has eight bits of mantissa.
        torch.testing.assert_close(member(*inputs()), logits_BC, atol=0.05, rtol=0.05)


def test_an_unknown_network_or_pool_is_named():
    with pytest.raises(
        ValueError,
        match="network: 'sam' is not a file of specialists/networks; known: mlp, resnet20, san, san_small",
    ):
        network("sam")
    with pytest.raises(ValueError, match="pool: 'max' is unknown; known: last, mean"):
        build("san", pool="max")
