"""Methods against brute force over all C(M, k) splits, hand calculation, and identities; rows by name."""

from itertools import combinations
from math import exp, log
from pathlib import Path

import pytest
import torch
import yaml

from specialists import methods
from specialists.answers import label as task
from specialists.methods import Method, cmcl, ie_plus, mcl, mcl_kd

M, B, C = 5, 64, 28


def draw(*shape, seed=0, scale=3.0):
    return scale * torch.randn(*shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


LOGITS, TEACHER = draw(M, B, C), draw(M, B, C, seed=1)
LABEL = torch.randint(C, (B,), generator=torch.Generator().manual_seed(2))
GENERATOR = torch.Generator().manual_seed(3)
SETTINGS = {
    "mcl": {},
    "cmcl": {"beta": 0.75, "form": "exact"},
    "cmcl stochastic": {"beta": 0.75, "form": "stochastic"},
    "mcl_kd": {"beta": 1.8, "temperature": 0.7, "form": "kl"},
    "mcl_kd ce": {"beta": 50.0, "temperature": 0.7, "form": "ce"},
}
every_method = pytest.mark.parametrize("name", SETTINGS)


def loss(name, logits, teacher, k, label=LABEL):
    """(loss_B, chosen_MB) of a method."""
    paid = task.loss(logits, label)
    if name == "mcl":
        return mcl.loss(paid, k)
    if name.startswith("cmcl"):
        return cmcl.loss(paid, logits, k, GENERATOR, task, **SETTINGS[name])
    return mcl_kd.loss(paid, logits, teacher, k, task, **SETTINGS[name])


def other(name, logits, teacher):
    """What a member pays that is not chosen."""
    if name == "mcl":
        return torch.zeros(logits.shape[:2], dtype=logits.dtype)
    if name.startswith("cmcl"):
        return cmcl.other(logits, GENERATOR, task, **SETTINGS[name])
    return mcl_kd.other(logits, teacher, task, **SETTINGS[name])


def softmax(row, temperature=1.0):
    """Slow and plain, in Python floats."""
    powers = [exp(x / temperature) for x in row]
    return [p / sum(powers) for p in powers]


def kl(p, q):
    return sum(a * log(a / b) for a, b in zip(p, q, strict=True))


@pytest.mark.parametrize("k", range(1, M + 1))
@every_method
def test_a_method_pays_for_the_best_of_all_splits(name, k):
    paid, rest = task.loss(LOGITS, LABEL), other(name, LOGITS, TEACHER)
    found, chosen = loss(name, LOGITS, TEACHER, k)
    for b in range(B):
        costs = {
            split: sum((paid if m in split else rest)[m, b].item() for m in range(M))
            for split in combinations(range(M), k)
        }
        assert found[b].item() == pytest.approx(min(costs.values()), rel=1e-12)
        assert tuple(chosen[:, b].nonzero().squeeze(1).tolist()) == min(costs, key=costs.get)


@every_method
def test_k_equal_to_m_is_the_independent_ensemble(name):
    found, chosen = loss(name, LOGITS, TEACHER, M)
    together, everybody = ie_plus.loss(task.loss(LOGITS, LABEL))
    assert torch.equal(found, together) and torch.equal(chosen, everybody)
    assert torch.equal(together, task.loss(LOGITS, LABEL).sum(0)) and everybody.all()


def test_mcl_at_k_1_is_the_minimum():
    found, _ = loss("mcl", LOGITS, TEACHER, 1)
    assert torch.equal(found, task.loss(LOGITS, LABEL).min(0).values)


def test_cmcl_is_beta_times_kl_from_uniform():
    expected = [[0.75 * kl([1 / C] * C, softmax(row)) for row in member] for member in LOGITS.tolist()]
    found = cmcl.other(LOGITS, GENERATOR, task, beta=0.75, form="exact")
    torch.testing.assert_close(found, torch.tensor(expected, dtype=torch.float64))


def test_cmcl_by_hand():
    """p = (3/4, 1/4): KL(uniform || p) = log(1/2) - (log 3/4 + log 1/4) / 2 = log(2 / sqrt 3)."""
    logits = torch.tensor([[[log(3.0), 0.0]]])
    found = cmcl.other(logits, GENERATOR, task, beta=2.0, form="exact").item()
    assert found == pytest.approx(2 * log(2 / 3**0.5), rel=1e-6)


def test_stochastic_cmcl_has_the_exact_value_and_the_exact_gradient_on_average():
    logits = LOGITS[:, :1].expand(M, 40_000, C).clone().requires_grad_()
    found = cmcl.other(logits, torch.Generator().manual_seed(0), task, beta=0.75, form="stochastic")
    exact = cmcl.other(LOGITS[:, :1], None, task, beta=0.75, form="exact")
    torch.testing.assert_close(found, exact.expand_as(found))
    mean_gradient = torch.autograd.grad(found.sum(), logits)[0].mean(1)
    one = LOGITS[:, :1].clone().requires_grad_()
    gradient = torch.autograd.grad(cmcl.other(one, None, task, beta=0.75, form="exact").sum(), one)[0]
    torch.testing.assert_close(mean_gradient, gradient.squeeze(1), atol=0.01, rtol=0)


@pytest.mark.parametrize("temperature", [0.1, 1.0, 5.0])
def test_mcl_kd_is_beta_times_kl_from_the_teacher(temperature):
    found = mcl_kd.other(LOGITS, TEACHER, task, beta=1.8, temperature=temperature, form="kl")
    expected = [
        [1.8 * kl(softmax(t, temperature), softmax(s, temperature)) for s, t in zip(ss, ts, strict=True)]
        for ss, ts in zip(LOGITS.tolist(), TEACHER.tolist(), strict=True)
    ]
    torch.testing.assert_close(found, torch.tensor(expected, dtype=torch.float64))


def test_authors_form_is_the_mean_over_answers_with_the_teachers_entropy_left_in():
    kl_form = mcl_kd.other(LOGITS, TEACHER, task, beta=1.0, temperature=0.7, form="kl")
    ce_form = mcl_kd.other(LOGITS, TEACHER, task, beta=1.0, temperature=0.7, form="ce")
    entropy = torch.special.entr((TEACHER / 0.7).softmax(2)).sum(2)
    torch.testing.assert_close(ce_form, (kl_form + entropy) / C)


@pytest.mark.parametrize("name", ["mcl_kd", "mcl_kd ce"])
def test_a_member_that_is_not_chosen_and_equals_its_teacher_gets_no_gradient(name):
    logits = LOGITS.clone().requires_grad_()
    found, chosen = loss(name, logits, LOGITS, 2)
    gradient = torch.autograd.grad(found.sum(), logits)[0]
    assert gradient[~chosen].abs().max() < 1e-12
    assert gradient[chosen].abs().sum(1).min() > 0


def test_under_mcl_a_member_that_is_not_chosen_gets_no_gradient():
    logits = LOGITS.clone().requires_grad_()
    found, chosen = loss("mcl", logits, None, 1)
    gradient = torch.autograd.grad(found.sum(), logits)[0]
    assert gradient[~chosen].abs().max() == 0


@pytest.mark.parametrize("name", sorted(set(SETTINGS) - {"cmcl stochastic"}))
def test_the_gradient_is_that_of_the_chosen_split(name):
    """Autograd through the whole loss against finite differences of the loss with the split held fixed."""
    logits, teacher, label = LOGITS[:, :3].clone(), TEACHER[:, :3], LABEL[:3]
    chosen = loss(name, logits, teacher, 2, label)[1]

    def held(x):
        return torch.where(chosen, task.loss(x, label), other(name, x, teacher)).sum()

    x = logits.clone().requires_grad_()
    found = torch.autograd.grad(loss(name, x, teacher, 2, label)[0].sum(), x)[0]
    for m, b, c in [(0, 0, 0), (1, 1, 5), (2, 2, 27), (3, 0, int(LABEL[0])), (4, 1, int(LABEL[1]))]:
        step = torch.zeros_like(logits)
        step[m, b, c] = 1e-5
        difference = (held(logits + step) - held(logits - step)) / 2e-5
        assert found[m, b, c].item() == pytest.approx(difference.item(), abs=1e-7)


@every_method
@pytest.mark.parametrize("extreme", [80.0, -80.0, 1e4])
def test_extreme_logits_stay_finite(name, extreme):
    logits = torch.zeros(M, 2, C)
    logits[:, :, 0] = extreme
    logits.requires_grad_()
    found, _ = loss(name, logits, -logits.detach(), 2, torch.tensor([0, 1]))
    assert found.isfinite().all()
    assert torch.autograd.grad(found.sum(), logits)[0].isfinite().all()


@every_method
def test_k_out_of_range_is_named(name):
    with pytest.raises(ValueError, match="k = 6 is out of range: 1 to 5"):
        loss(name, LOGITS, TEACHER, 6)


def test_wrong_shapes_and_settings_raise():
    with pytest.raises(ValueError, match="differ in shape"):
        mcl_kd.other(LOGITS, TEACHER[:, :, :1], task, beta=1.0, temperature=1.0, form="kl")
    with pytest.raises(ValueError, match="temperature: 0.0 is out of range"):
        mcl_kd.other(LOGITS, TEACHER, task, beta=1.0, temperature=0.0, form="kl")
    with pytest.raises(ValueError, match="beta: -1.0 is out of range: at least 0"):
        mcl_kd.other(LOGITS, TEACHER, task, beta=-1.0, temperature=1.0, form="kl")
    with pytest.raises(ValueError, match="beta: nan is out of range: at least 0"):
        cmcl.other(LOGITS, None, task, beta=float("nan"), form="exact")
    with pytest.raises(ValueError, match="form: 'exactly' is unknown; known: exact, stochastic"):
        cmcl.other(LOGITS, None, task, beta=1.0, form="exactly")
    with pytest.raises(ValueError, match="form: 'exactly' is unknown; known: kl, ce"):
        mcl_kd.other(LOGITS, TEACHER, task, beta=1.0, temperature=1.0, form="exactly")


# --- rows of params.yaml


@pytest.fixture
def row(tmp_path, monkeypatch):
    """A row of params.yaml `methods`, made into a Method."""
    monkeypatch.chdir(tmp_path)

    def made(name, **settings):
        Path("params.yaml").write_text(yaml.safe_dump({"methods": {name: settings}}))
        return Method(name)

    return made


@pytest.fixture
def file(tmp_path, monkeypatch):
    """Puts a file of one's own beside those of specialists/methods."""
    monkeypatch.setattr(methods, "__path__", [*methods.__path__, str(tmp_path)])
    return lambda name, text: (tmp_path / f"{name}.py").write_text(text)


GIVEN = {
    "task_MB": task.loss(LOGITS, LABEL),
    "logits_MBC": LOGITS,
    "teacher_MBC": TEACHER,
    "k": 2,
    "generator": GENERATOR,
    "task": task,
    "done": torch.ones(()),
}


def same(found, expected):
    return all(torch.equal(a, b) for a, b in zip(found, expected, strict=True))


@every_method
def test_a_row_names_its_file_or_has_its_name(row, name):
    expected = loss(name, LOGITS, TEACHER, 2)
    if "stochastic" not in name:
        assert same(row(name.split()[0], **SETTINGS[name]).loss(**GIVEN), expected)
    again = row("a_name_of_its_own", method=name.split()[0], sharing=0.7, **SETTINGS[name])
    assert again.loss(**GIVEN)[0].tolist() == pytest.approx(expected[0].tolist()) and again.sharing == 0.7


def test_what_a_method_needs_is_what_its_loss_asks_for(row):
    needs = {
        name: (how.trains, how.generalist, how.taught, how.sharing)
        for name in ("ie", "ie_plus", "mcl", "cmcl", "mcl_kd")
        for how in [row(name, **SETTINGS[name] if name in SETTINGS else {})]
    }
    assert needs == {
        "ie": (False, True, False, None),
        "ie_plus": (True, True, False, None),
        "mcl": (True, False, False, None),
        "cmcl": (True, False, False, None),
        "mcl_kd": (True, False, True, None),
    }


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"method": "mcl_dk"}, "method: 'mcl_dk' is not a file of specialists/methods; known: cmcl, ie, ie_"),
        ({}, "method: 'mine' is not a file of specialists/methods; known: cmcl, ie, ie_kd, "),
        ({"method": "mcl", "beta": 1.0}, r"params.yaml: methods.mine.beta: unknown key; known: none"),
        ({"method": "ie", "beta": 1.0}, r"params.yaml: methods.mine.beta: unknown key; known: none"),
        ({"method": "cmcl", "beta": 1.0}, r"params.yaml: methods.mine.form: missing; known: beta, form"),
        ({"method": "mcl", "sharing": "0.7"}, r"methods.mine.sharing: '0.7' is str, expected float"),
        ({"method": "mcl", "average": "1"}, r"methods.mine.average: '1' is str, expected float"),
        ({"method": "ie", "average": 0.5}, r"methods.mine.average: 0.5: this method does not train"),
        ({"method": 3}, r"params.yaml: methods.mine.method: 3 is int, expected str"),
    ],
)
def test_a_mistake_in_a_row_is_named(row, settings, message):
    with pytest.raises(ValueError, match=message):
        row("mine", **settings)


def test_a_mistake_that_the_loss_finds_is_placed(row):
    how = row("mine", method="cmcl", beta=-1.0, form="exact")
    with pytest.raises(ValueError, match=r"params.yaml: methods.mine: beta: -1.0 is out of range"):
        how.loss(**GIVEN)


def test_a_row_that_is_missing_is_named(row):
    row("mcl")
    with pytest.raises(ValueError, match=r"params.yaml: methods.cmcl: missing; found beside it: mcl"):
        Method("cmcl")


SOFT = '''"""Soft: everybody learns, the better the more."""


def loss(task_MB, teacher_MBC, *, sharpness: float):
    known_MB = teacher_MBC.log_softmax(2).amax(2)
    weight_MB = (sharpness * known_MB).softmax(0)
    return (weight_MB * task_MB).sum(0), weight_MB > 0.5
'''
NEAR = '''"""Near: who is within a margin of the best, and at least k, learn an example."""


def loss(k, task_MB, *, margin: float):
    bound_B = task_MB.detach().sort(0).values[k - 1].clamp_min(task_MB.detach().amin(0) + margin)
    chosen_MB = task_MB <= bound_B
    return task_MB.where(chosen_MB, 0).sum(0), chosen_MB
'''


def test_an_assignment_of_ones_own_with_teachers_and_without_k_is_one_file(row, file):
    file("soft", SOFT)
    how = row("soft_at_3", method="soft", sharpness=3.0)
    found, chosen = how.loss(**GIVEN)
    weight = torch.exp(3.0 * TEACHER.softmax(2).amax(2).log())
    torch.testing.assert_close(found, (weight * GIVEN["task_MB"]).sum(0) / weight.sum(0))
    assert how.taught and how.generalist and how.trains and chosen.sum(0).max() <= 1


def test_an_assignment_of_ones_own_that_asks_for_k_leaves_somebody_out(row, file):
    file("near", NEAR)
    how = row("near", margin=0.5)
    found, chosen = how.loss(**GIVEN)
    task = GIVEN["task_MB"]
    for b in range(B):
        ranked = sorted(task[:, b].tolist())
        paid = [x for x in ranked if x <= max(ranked[1], ranked[0] + 0.5)]
        assert found[b].item() == pytest.approx(sum(paid)) and chosen[:, b].sum() == len(paid) >= 2
    assert not how.taught and not how.generalist
    with pytest.raises(ValueError, match=r"methods.near.margin: missing; known: margin"):
        row("near")


def test_a_loss_that_asks_for_what_it_is_not_given_is_named(row, file):
    file("greedy", '"""Greedy: all."""\n\n\ndef loss(task_MB, images):\n    return task_MB\n')
    with pytest.raises(
        ValueError, match=r"greedy.py: loss asks for images; it is given task_MB, logits_MBC, "
    ):
        row("greedy")
