"""The gated ResNeXt-101: published sizes and costs, the chosen groups alone, a step of training."""

import pytest
import torch

from specialists.answers import label
from specialists.networks.resnext101 import Network

HEAD = {"embedding": 9, "question": 8, "hidden": 7, "classifier_hidden": 6, "activation": "relu"}
HEAD |= {"dropout": 0.0, "attention_dropout": 0.0, "attention": 5, "scope": "batch"}
PUBLISHED = {"blocks": [3, 4, 23, 3], "channels": 256, "groups": 32, **HEAD}
SMALL = {"blocks": [1, 2], "channels": 12, "groups": 4, "width": 2, "balance": 0.01, **HEAD}


def asked(size, side):
    generator = torch.Generator().manual_seed(0)
    tokens_BL = torch.randint(1, 11, (size, 6), generator=generator)
    image_BHW3 = torch.randint(256, (size, side, side, 3), generator=generator, dtype=torch.uint8)
    return image_BHW3, tokens_BL, torch.full((size,), 6)


@pytest.mark.parametrize(
    "width, parameters, cost",
    [(4, 42.13e6, {0: 7.97e9, 16: 4.22e9, 8: 2.35e9}), (32, 466.4e6, {0: 87.1e9, 16: 43.8e9, 8: 22.1e9})],
)
def test_published_sizes(width, parameters, cost):
    """Parameters of torchvision's ResNeXt-101 but for its last layer; multiplications by the formula."""
    for active, wanted in cost.items():
        with torch.device("meta"):
            network = Network((224, 224), 11, 5, width=width, active=active, balance=0.0, **PUBLISHED)
        assert network.multiplications()[0] == pytest.approx(wanted, rel=0.03)
        own = [p for name, p in network.eyes.named_parameters() if ".gate." not in name]
        assert sum(p.numel() for p in own) == pytest.approx(parameters, rel=0.001)


@torch.no_grad()
def test_the_chosen_groups_alone_say_what_all_of_them_do():
    torch.manual_seed(0)
    network, inputs = Network((16, 16), 11, 5, active=2, **SMALL).eval(), asked(9, 16)
    found = network(*inputs)
    for block in network.eyes.blocks:  # all groups, masked, with the statistics of evaluation
        block.training = block.gate.training = True
    torch.testing.assert_close(network(*inputs), found, atol=1e-5, rtol=1e-5)


def test_it_learns_and_what_the_gates_cost_is_there():
    torch.manual_seed(0)
    network, inputs = Network((16, 16), 11, 5, active=2, **SMALL).train(), asked(9, 16)
    (label.loss(network(*inputs), torch.arange(9) % 5).mean() + network.extra).backward()
    wanted = 0.01 * sum(block.gate.balance.item() for block in network.eyes.blocks)
    assert network.extra.item() == pytest.approx(wanted)
    assert all(p.grad is not None and p.grad.isfinite().all() for p in network.parameters())


def test_sizes_that_make_no_sense_are_refused():
    with pytest.raises(ValueError, match="20 x 20 pixels: expected multiples of 8"):
        Network((20, 20), 11, 5, active=2, **SMALL)
    with pytest.raises(ValueError, match="blocks: 0 is out of range: at least 1"):
        Network((16, 16), 11, 5, active=2, **SMALL | {"blocks": []})
    with pytest.raises(ValueError, match="active: 5 is out of range: 1 to 4, the groups"):
        Network((16, 16), 11, 5, active=5, **SMALL)
