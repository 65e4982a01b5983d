"""The answering networks against a slow reference, their sizes, and what padding must not change."""

import math
import os
from pathlib import Path

import pytest
import torch
import yaml

from specialists.answers.ensemble import Ensemble
from specialists.base import runtime
from specialists.networks import builder, mlp, network, resnet20, san
from tests.conftest import needs_bf16

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


@pytest.mark.parametrize("name", ["mlp", "san"])
def test_members_may_share_what_they_see_and_ask(name):
    """In evaluation the upper part of each gets its own and the expected share of the others'."""
    torch.manual_seed(0)
    members = [build(name).eval() for _ in range(3)]
    shared = Ensemble(members, keep=0.25).eval()(*inputs())
    with torch.no_grad():
        a, b, c = (each.lower(*inputs()) for each in members)
        torch.testing.assert_close(shared[0], members[0].upper(a + (b + c) / 4))
        torch.testing.assert_close(members[2](*inputs()), members[2].upper(c))


def test_the_papers_san_has_four_and_a_half_million_parameters():
    settings = {"blocks": 2, "width": 128, "embedding": 300, "lstm": 256, "pool": "last"}
    net = san.Network([14, 14], 1024, 86, 28, **settings, attention=512, glimpses=2, hidden=1024)
    stem = 2 * (1024 * 128 + 9 * 128 * 128 + 128 * 1024 + 2 * (128 + 128 + 1024))
    question = 86 * 300 + 4 * 256 * (300 + 256 + 2)
    attention = (1024 + 256) * 512 + 512 + 2 * 512 + 2
    answer = (2 * 1024 + 256) * 1024 + 1024 + 1024 * 28 + 28
    assert sum(p.numel() for p in net.parameters()) == stem + question + attention + answer
    assert 4.4e6 < stem + question + attention + answer < 4.6e6


@pytest.mark.parametrize(
    ("mode", "close"), [("portable", 1e-6), pytest.param("fast", 0.05, marks=needs_bf16)]
)
def test_members_answer_side_by_side(monkeypatch, mode, close):
    """In fp32, or in bf16, which has eight bits of mantissa."""
    monkeypatch.setattr(runtime, "_mode", mode)
    torch.manual_seed(0)
    members = [NETWORKS["san"]() for _ in range(3)]
    logits = Ensemble(members).eval()(*inputs())
    assert logits.shape == (3, 6, ANSWERS) and logits.dtype == torch.float32
    for member, logits_BC in zip(members, logits, strict=True):
        alone = member(*inputs())
        torch.testing.assert_close(alone, logits_BC, atol=close, rtol=close)
        assert torch.equal(alone, logits_BC) == (mode == "portable")


@pytest.fixture
def row(tmp_path, monkeypatch):
    """A row of params.yaml `networks`, and what builds it."""
    monkeypatch.chdir(tmp_path)

    def made(name, *shape, **settings):
        Path("params.yaml").write_text(yaml.safe_dump({"networks": {name: settings}}))
        return builder(name, shape)

    return made


def test_a_row_names_its_file_or_has_its_name(row):
    settings = SMALL | {"attention": 9, "glimpses": 2, "hidden": 10}
    small = row("san_small", GRID, F, WORDS, ANSWERS, network="san", **settings)
    assert isinstance(small(), san.Network) and small() is not small()
    same = row("resnet20", 10, width=2)()
    assert isinstance(same, resnet20.Network) and same(torch.zeros(2, 3, 32, 32)).shape == (2, 10)


@pytest.mark.parametrize(
    ("name", "settings", "message"),
    [
        ("big", {}, "network: 'big' is not a file of specialists/networks; known: ban, box_san"),
        ("big", {"network": "resnet20"}, r"params.yaml: networks.big.width: missing; known: width"),
        ("resnet20", {"width": 2, "depth": 3}, r"networks.resnet20.depth: unknown key; known: width"),
        ("resnet20", {"width": "2"}, r"networks.resnet20.width: '2' is str, expected int"),
        ("cti", {}, "networks.cti: this network is told the answer, so it can only teach"),
    ],
)
def test_a_mistake_in_a_row_is_named(row, name, settings, message):
    with pytest.raises(ValueError, match=message):
        row(name, 10, **settings)()


def test_who_is_told_no_answer_is_no_such_teacher(row):
    row("resnet20", 10, width=2)
    with pytest.raises(
        ValueError, match="networks.resnet20: this network is told no answer, so it is no such"
    ):
        builder("resnet20", (10,), told=True)


@pytest.mark.parametrize("mode", ["portable", "fast"])
def test_only_portable_convolutions_are_held_to_avx2(row, monkeypatch, mode):
    """Of products alone nobody asks it: a SAN without a stem has no convolution."""
    monkeypatch.setattr(runtime, "_mode", mode)
    monkeypatch.setattr(os, "environ", {})
    settings = SMALL | {"attention": 9, "glimpses": 2, "hidden": 10}
    held = []
    for blocks in (0, 1):
        row("san", GRID, F, WORDS, ANSWERS, **settings | {"blocks": blocks})()
        held.append(dict(os.environ))
    assert held == [{}, {"ONEDNN_MAX_CPU_ISA": "AVX2"} if mode == "portable" else {}]


def test_an_unknown_network_or_pool_is_named():
    files = "ban, box_san, butd, cti, mlp, question_only, relation, resnet20, resnet8, resnext101, san, vgg17"
    unknown = "network: 'sam' is not a file of specialists/networks"
    with pytest.raises(ValueError, match=f"{unknown}; known: {files}$"):
        network("sam")
    with pytest.raises(ValueError, match="pool: 'max' is unknown; known: last, mean"):
        build("san", pool="max")
