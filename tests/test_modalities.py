"""Modality-specific distillation, against finite differences, hand calculation and plain distillation."""

import contextlib
import copy
import math

import pytest
import torch
from torch import nn

from specialists.answers import label as task
from specialists.networks import san
from specialists.networks.portable import plain
from specialists.students import modalities
from specialists.students.distillation import distill
from specialists.students.modalities import Blind, Method, Senses, Weigher, alone

KD = {"budget": "taught", "teacher": "mean", "alpha": 0.7, "temperature": 2.0}


class Toy(nn.Module):
    """A network of two modalities with batch normalisation and the question's mean embedding."""

    def __init__(self, answers=4):
        super().__init__()
        self.image, self.words = nn.Linear(3, 5), nn.Embedding(6, 5, padding_idx=0)
        self.norm, self.answer = nn.BatchNorm1d(5), nn.Linear(5, answers)

    def forward(self, image_BRF, tokens_BL, length_B):
        both_BH = self.image(image_BRF).mean(1) + self.words(tokens_BL).sum(1) / length_B.unsqueeze(1)
        return self.answer(torch.tanh(self.norm(both_BH)))


def toy(method, seed=0):
    torch.manual_seed(seed)
    return Senses(Toy(), 3, method)


def batch(size=7, seed=1):
    generator = torch.Generator().manual_seed(seed)
    image = torch.randn(size, 2, 3, generator=generator)
    tokens = torch.randint(2, 6, (size, 3), generator=generator)
    return (image, tokens, torch.full((size,), 3)), torch.randint(4, (size,), generator=generator)


def test_the_absent_modality_leaves_no_trace():
    (image, tokens, length), _ = batch()
    absent, network = torch.tensor([1.0, 2.0, 3.0]), Toy().eval()
    others = (image + 1, tokens.flip(0), length)
    for modality, same in (("image", (image, *others[1:])), ("question", (others[0], tokens, length))):
        blind = Blind(network, modality, absent, 1)
        assert torch.equal(blind(image, tokens, length), blind(*same))
        assert not torch.equal(blind(image, tokens, length), blind(*others))
    seen, one, _ = alone((image, tokens, length), "image", absent, 1)
    assert torch.equal(seen, image) and one.tolist() == [[1]] * 7
    assert torch.equal(alone((image, tokens, length), "question", absent, 1)[0][3, 1], absent)


def test_teachers_by_hand():
    logits_MBC = torch.randn(3, 4, 5)
    specialist_B = torch.tensor([2, 0, 1, 2])
    told = {name: teach(logits_MBC, specialist_B, task) for name, teach in modalities.TEACHERS.items()}
    for b in range(4):
        each = [logits_MBC[m, b].softmax(0) for m in range(3)]
        assert torch.allclose(told["mean"][b], sum(each) / 3)
        assert torch.equal(told["member"][b], each[0])
        assert torch.equal(told["choice"][b], each[specialist_B[b]])


def test_imitation_by_hand():
    student, teacher = torch.tensor([[0.0, math.log(3.0)]]), torch.tensor([[0.5, 0.5]])
    kl = modalities.imitation(student, teacher, task, temperature=1.0, form="kl")
    mse = modalities.imitation(student, teacher, task, temperature=1.0, form="mse")
    assert kl.item() == pytest.approx(0.5 * math.log(0.5 / 0.25) + 0.5 * math.log(0.5 / 0.75))
    assert mse.item() == pytest.approx(2 * 0.25**2)
    softer = 3**0.5 / (1 + 3**0.5)  # what the student says at T = 2
    mse = modalities.imitation(student, teacher, task, temperature=2.0, form="mse")
    assert mse.item() == pytest.approx(4 * 2 * (softer - 0.5) ** 2)


@pytest.mark.parametrize("form", modalities.FORMS)
def test_a_student_that_says_what_its_teacher_says_pays_nothing(form):
    logits = torch.randn(6, 5) * 3
    paid = modalities.imitation(logits, logits.softmax(1), task, temperature=2.0, form=form)
    assert paid.abs().max() < 1e-5


def test_kl_is_plain_distillation_that_knows_no_label():
    logits, teacher, label = (
        torch.randn(6, 5),
        torch.randn(6, 5).softmax(1),
        torch.zeros(6, dtype=torch.int64),
    )
    plain = distill(logits, teacher, label, task, alpha=1.0, temperature=3.0)
    assert torch.equal(modalities.imitation(logits, teacher, task, temperature=3.0, form="kl"), plain)


def test_the_only_informative_modality_is_the_salient_one():
    both = torch.tensor([[0.9, 0.1], [0.2, 0.8], [0.5, 0.5]])
    only = torch.stack([both, torch.full((3, 2), 0.5)])
    salient = modalities.saliency(both, only, task)
    assert torch.equal(salient[0], torch.ones(3))
    by_hand = [math.exp(-sum(p * math.log(p / 0.5) for p in row)) for row in both.tolist()]
    assert salient[1].tolist() == pytest.approx(by_hand, rel=1e-6)
    assert (salient[1, :2] < 1).all()
    assert modalities.saliency(torch.tensor([[1.0, 0.0]]), torch.tensor([[[0.0, 1.0]]]), task).item() < 1e-9


def test_weights_of_the_population_are_the_mean_saliency_of_each_modality():
    salient = modalities.saliency(torch.randn(9, 4).softmax(1), torch.randn(2, 9, 4).softmax(2), task)
    told = {name: weigh(salient) for name, weigh in modalities.FIXED.items()}
    assert torch.equal(told["instance"], salient) and not told["none"].any()
    assert all(torch.allclose(told["population"][:, b], salient.mean(1)) for b in range(9))


def losses(senses, strength=1.0):
    """base_B and aux_IB of a batch, what they were made of, and an `imitate`."""
    inputs, label = batch()
    only = torch.randn(2, 7, 4, generator=torch.Generator().manual_seed(2)).softmax(2)

    def imitate(logits, teacher):
        return strength * modalities.imitation(logits, teacher, task, temperature=1.0, form="kl")

    said = senses.train()(*inputs)
    base = nn.functional.cross_entropy(said[0], label, reduction="none")
    aux = torch.stack([imitate(*pair) for pair in zip(said[1:], only, strict=True)])
    return base, aux, inputs, only, imitate


def test_the_weigher_is_told_the_gradient_that_finite_differences_find(monkeypatch):
    """One weight is moved a little, the virtual step taken anew, and the meta losses compared."""
    senses, eps = toy(Method(**KD, weights="meta")).double().train(), 1e-5
    (image, tokens, length), label = batch()
    inputs = (image.double(), tokens, length)
    clean, answer = (image.flip(0).double() * 2, tokens.flip(1), length), label.flip(0)
    only = torch.randn(2, 7, 4, generator=torch.Generator().manual_seed(2)).softmax(2).double()
    network, slopes = senses.network, []

    def imitate(logits, told):
        return modalities.imitation(logits, told, task, temperature=1.0, form="kl")

    def paid(network):
        base = nn.functional.cross_entropy(network(*inputs), label, reduction="none")
        views = [alone(inputs, each, torch.zeros(3), 0) for each in ("image", "question")]
        pairs = zip(views, only, strict=True)
        return base, torch.stack([imitate(network(*view), told) for view, told in pairs])

    def after_a_step(weight):
        moved = copy.deepcopy(network)
        base, aux = paid(moved)
        total = (base + (weight * aux).sum(0)).mean()
        slope = torch.autograd.grad(total, list(moved.parameters()))
        for parameter, each in zip(moved.parameters(), slope, strict=True):
            parameter.data -= modalities.RATE * each
        return nn.functional.cross_entropy(moved(*clean), answer).item()

    monkeypatch.setattr(senses.weigher, "learn", lambda aux, slope: slopes.append(slope))
    base, aux = paid(network)
    weight = senses.weigher(aux.detach()).detach()
    senses.weigh(base, aux, inputs, only, imitate, (clean, answer), task)
    for i, b in [(0, 0), (0, 5), (1, 2), (1, 6)]:
        there = []
        for sign in (1, -1):
            other = weight.clone()
            other[i, b] += sign * eps
            there.append(after_a_step(other))
        expected = (there[0] - there[1]) / (2 * eps)
        assert slopes[0][i, b].item() == pytest.approx(expected, rel=1e-4, abs=1e-10)


def test_layers_of_our_own_learn_the_same_weights_as_torchs():
    """Ours cannot be differentiated forwards, so the virtual step is made of torch's."""
    sizes = {"blocks": 0, "width": 4, "embedding": 6, "lstm": 7, "pool": "mean"}
    told = []
    for layers in (contextlib.nullcontext(), plain()):
        torch.manual_seed(0)
        network = san.Network([1, 2], 3, 6, 4, **sizes, attention=9, glimpses=2, hidden=10)
        senses = Senses(network, 3, Method(**KD, weights="meta"))
        with layers:
            for seed in range(3, 6):
                base, aux, inputs, only, imitate = losses(senses)
                weight = senses.weigh(base, aux, inputs, only, imitate, batch(seed=seed), task)
            (base + (weight * aux).sum(0)).mean().backward()
        told.append([weight, *(parameter.grad for parameter in network.parameters())])
    for ours, theirs in zip(*told, strict=True):
        torch.testing.assert_close(ours, theirs, atol=1e-5, rtol=1e-4)


def test_the_virtual_step_moves_neither_weights_nor_batchnorm():
    senses = toy(Method(**KD, weights="meta"))
    base, aux, inputs, only, imitate = losses(senses)
    before = {name: value.clone() for name, value in senses.network.state_dict().items()}
    weight = senses.weigh(base, aux, inputs, only, imitate, batch(seed=3), task)
    assert all(torch.equal(value, before[name]) for name, value in senses.network.state_dict().items())
    assert torch.equal(weight, senses.weigher(aux)) and not weight.requires_grad
    assert weight.shape == (2, 7) and ((weight > 0) & (weight < 1)).all()
    assert all(parameter.grad is None for parameter in senses.parameters())


def test_the_weigher_goes_where_the_meta_loss_falls():
    torch.manual_seed(0)
    weigher, aux = Weigher(), torch.rand(2, 50)
    slope = torch.stack([torch.ones(50), -torch.ones(50)])
    before = weigher(aux)
    for _ in range(50):
        weigher.learn(aux, slope)
    assert (weigher(aux)[0] < before[0]).all() and (weigher(aux)[1] > before[1]).all()


def test_the_weigher_learns_in_one_step_of_so_many():
    senses = toy(Method(**KD, weights="meta", every=3))
    told = []
    for _ in range(4):
        base, aux, inputs, only, imitate = losses(senses)
        senses.weigh(base, aux, inputs, only, imitate, batch(seed=3), task)
        told.append(senses.weigher(aux).detach())
    same = [torch.equal(a, b) for a, b in zip(told, told[1:], strict=False)]
    assert same == [True, True, False]


def test_a_weigher_goes_on_from_its_state_as_if_it_had_not_stopped():
    aux, slope = torch.rand(2, 9), torch.randn(2, 9)
    torch.manual_seed(0)
    first, second = Weigher(), Weigher()
    for _ in range(3):
        first.learn(aux, slope)
    second.load_state_dict(copy.deepcopy(first.state_dict()))
    for weigher in (first, second):
        weigher.learn(aux, slope)
    assert torch.equal(first(aux), second(aux))


def test_in_training_it_answers_three_times_and_in_evaluation_once():
    inputs, _ = batch()
    senses = toy(Method(**KD, weights="instance"))
    assert senses.train()(*inputs).shape == (3, 7, 4) and senses.eval()(*inputs).shape == (1, 7, 4)
    assert toy(Method(**KD)).train()(*inputs).shape == (1, 7, 4)


def test_the_second_answer_is_to_the_image_alone_and_the_third_to_the_question():
    (image, tokens, length), _ = batch()
    senses = toy(Method(**KD, weights="instance")).train()
    both, to_image, to_question = senses(image, tokens, length)
    other = senses(image, tokens.flip(0), length)
    assert torch.equal(other[1], to_image) and not torch.equal(other[2], to_question)
    other = senses(image + 1, tokens, length)
    assert torch.equal(other[2], to_question) and not torch.equal(other[1], to_image)
    assert not torch.equal(other[0], both)


def test_imitation_leaves_no_trace_in_batch_normalisation():
    inputs, _ = batch()
    plain, both = toy(Method(**KD)), toy(Method(**KD, weights="instance"))
    for senses in (plain, both):
        senses.train()(*inputs)
    expected = plain.network.state_dict()
    assert all(torch.equal(value, expected[name]) for name, value in both.network.state_dict().items())


def test_what_stands_for_an_absent_modality_is_learned_when_asked():
    for absent, learned in (("zero", False), ("learned", True)):
        senses = toy(Method(**KD, weights="instance", absent=absent))
        _, aux, *_ = losses(senses)
        aux.sum().backward()
        assert (senses.absent_F.grad is not None) == learned
        row = senses.network.words.weight.grad[senses.word]
        assert bool(row.abs().sum() > 0) == learned


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"teacher": "best"}, "teacher: 'best' is unknown; known: mean, member, choice"),
        ({"weights": "saliency"}, "weights: 'saliency' is unknown; known: none, population, instance, meta"),
        ({"form": "l1"}, "form: 'l1' is unknown; known: kl, mse"),
        ({"absent": "mean"}, "absent: 'mean' is unknown; known: zero, learned"),
        ({"strength": -1.0}, "strength: -1.0 is out of range: at least 0"),
        ({"alpha": 1.5}, "alpha: 1.5 is out of range: 0 to 1"),
        ({"temperature": 0.0}, "temperature: 0.0 is out of range: above 0"),
        ({"every": 0}, "every: 0 is out of range: at least 1"),
    ],
)
def test_a_mistake_names_itself(settings, message):
    with pytest.raises(ValueError, match=message):
        Method(**KD | settings)
