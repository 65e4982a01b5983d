"""The Relation Network: pairs one by one, objects and places, published costs, gates that cost and learn."""

import copy

import pytest
import torch
from torch.nn.functional import linear

from specialists.answers import label
from specialists.networks.relation import Network, Relations, number, objects
from specialists.tables import cost

PUBLISHED = {"first": 64, "channels": 48, "groups": 12, "width": 4, "attention": 64, "last": 24}
PUBLISHED |= {"embedding": 32, "lstm": 128, "units": 256, "dropout": 0.5, "scope": "batch", "pool": "last"}
SMALL = PUBLISHED | {
    "first": 6,
    "channels": 12,
    "groups": 3,
    "attention": 5,
    "last": 4,
    "embedding": 8,
    "lstm": 7,
    "units": 9,
}


def made(active, side=32, balance=0.01, choice="learned", **settings):
    torch.manual_seed(0)
    how = {"active": active, "balance": balance if active else 0.0, "choice": choice}
    return Network((side, side), 11, 5, **how, **(settings or SMALL))


def asked(size, side=32):
    generator = torch.Generator().manual_seed(0)
    tokens_BL = torch.randint(1, 11, (size, 6), generator=generator)
    image_BHW3 = torch.randint(256, (size, side, side, 3), generator=generator, dtype=torch.uint8)
    return image_BHW3, tokens_BL, torch.full((size,), 6)


@torch.no_grad()
def test_the_sum_over_pairs_is_that_of_pairs_one_by_one():
    torch.manual_seed(0)
    relations, object_BXO, question_BQ = Relations(5, 4, 7), torch.randn(3, 6, 5), torch.randn(3, 4)
    weight = torch.cat([relations.one.weight, relations.other.weight, relations.asked.weight], 1)
    found_BU = torch.zeros(3, 7)
    for i in range(6):
        for j in range(6):
            whole = torch.cat([object_BXO[:, i], object_BXO[:, j], question_BQ], 1)
            found_BU += relations.layers(linear(whole, weight, relations.one.bias))
    torch.testing.assert_close(relations(object_BXO, question_BQ), found_BU)


def test_an_object_is_a_cell_and_its_place():
    map_BCHW = torch.arange(2 * 3 * 2 * 3.0).reshape(2, 3, 2, 3)
    found = objects(map_BCHW)
    for y in range(2):
        for x in range(3):
            assert found[1, 3 * y + x].tolist() == [*map_BCHW[1, :, y, x].tolist(), 2 * y - 1, x - 1]


def test_what_the_published_sizes_cost():
    """2.26e7 multiplications in the convolutions, 9.9e8 less a fifth in all pairs of 64 objects."""
    network = made(0, 128, **PUBLISHED).eval()
    image, tokens, length = asked(1, 128)

    convolutions, gates = network.multiplications()
    assert (convolutions, gates) == (pytest.approx(2.26e7, rel=0.01), 0)
    assert cost.flops(network.eyes, image, None) + cost.flops(network.last, torch.zeros(1, 48, 8, 8)) == (
        2 * convolutions
    )
    assert cost.flops(network, image, tokens, length) / 2 == pytest.approx(0.81 * 9.94e8 + 2.26e7, rel=0.03)
    assert made(6, 128, **PUBLISHED).multiplications()[0] == pytest.approx(1.68e7, rel=0.01)


@pytest.mark.parametrize("active", [1, 2, 3])
@pytest.mark.parametrize("choice", ["learned", "drawn"])
def test_costs_are_those_that_torch_counts(active, choice):
    network = made(active, choice=choice, balance=0.0).eval()
    image, tokens, length = asked(1)
    chooses_B = number(image, tokens) if choice == "drawn" else torch.randn(1, 7)
    last = cost.flops(network.last, torch.zeros(1, 12, 2, 2))
    assert cost.flops(network.eyes, image, chooses_B) + last == 2 * sum(network.multiplications())


@pytest.mark.parametrize("active", [0, 1, 3])
def test_everything_learns_and_what_the_gates_cost_is_there(active):
    network, (image, tokens, length) = made(active).train(), asked(8)
    loss = label.loss(network(image, tokens, length), torch.arange(8) % 5).mean() + network.extra
    loss.backward()
    balances = [block.gate.balance for block in network.eyes.blocks if active]
    assert float(torch.as_tensor(network.extra).detach()) == pytest.approx(
        0.01 * sum(each.item() for each in balances)
    )
    assert all(each.grad is not None for each in network.parameters())
    if active != 1:  # of which groups that nobody chose learn nothing
        assert all(each.grad.any() for each in network.parameters())
    network.eval()(image, tokens, length)
    copy.deepcopy(network)  # holds no graph any more


@pytest.mark.parametrize("choice", ["learned", "drawn"])
@torch.no_grad()
def test_who_is_asked_beside_changes_no_answer(choice):
    network, inputs = made(1, balance=0.0, choice=choice).eval(), asked(20)
    alone = torch.cat([network(*(each[i : i + 1] for each in inputs)) for i in range(20)])
    torch.testing.assert_close(network(*inputs), alone, atol=1e-5, rtol=1e-5)


def test_pixels_and_costs_that_make_no_sense_are_refused():
    with pytest.raises(ValueError, match="40 x 40 pixels: expected multiples of 16"):
        made(0, 40)
    with pytest.raises(ValueError, match="balance: -1 is out of range: at least 0"):
        made(1, balance=-1)
    for active, choice in ((0, "learned"), (1, "drawn")):
        with pytest.raises(
            ValueError, match="balance: 0.5 has no meaning where no gate learns; there it is 0"
        ):
            Network((32, 32), 11, 5, active=active, balance=0.5, choice=choice, **SMALL)
    with pytest.raises(ValueError, match="choice: 'guessed' is unknown; known: learned, drawn"):
        made(1, choice="guessed")
    with pytest.raises(ValueError, match="channels: 0 is out of range: at least 1"):
        made(0, **SMALL | {"channels": 0})


def test_each_question_about_each_picture_has_a_number_of_its_own():
    image, tokens, _ = asked(200)
    numbers = number(image, tokens)
    assert len(numbers.unique()) == 200
    padded = torch.nn.functional.pad(tokens, (0, 3))
    assert number(image.float(), padded).tolist() == numbers.tolist()
