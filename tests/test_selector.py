"""A selector finds which member to trust where what they say shows it, and begins as their mean."""

import torch

from specialists.answers import label
from specialists.answers.ensemble import Ensemble, answer
from specialists.answers.selector import Answers, Selector
from specialists.training.budget import Budget
from specialists.training.loop import fit, plain

COUNT = 4  # of answers


def examples(generator, size=2000):
    """Two members, of whom one is right and the other surer of something wrong; a third shows which."""
    target_N = torch.randint(COUNT, (size,), generator=generator)
    wrong_N = (target_N + torch.randint(1, COUNT, (size,), generator=generator)) % COUNT
    first_N = torch.randint(2, (size,), generator=generator)
    right_NC, wrong_NC = sure(target_N, 0.6), sure(wrong_N, 0.9)
    one, other = (torch.where(first_N.unsqueeze(1) == who, right_NC, wrong_NC) for who in (0, 1))
    return Answers(torch.stack([one, other, sure(first_N, 0.9)], 1), target_N, label)


def sure(answer_N, share):
    rest = (1 - share) / (COUNT - 1)
    return torch.full((len(answer_N), COUNT), rest).scatter_(1, answer_N.unsqueeze(1), share)


def percent(said_NC, data):
    return 100 * (said_NC.argmax(1) == data.target_N).double().mean()


def test_it_begins_as_the_mean_and_finds_whom_to_trust(tmp_path):
    generator = torch.Generator().manual_seed(0)
    train, report = examples(generator), examples(generator)
    selector, mean_NC = Ensemble([Selector(3, COUNT, label)]), report.distribution_NMC.mean(1)
    before_NC = answer(selector, report, report.rows("train"))[0].softmax(1)
    torch.testing.assert_close(before_NC, mean_NC)
    budget = Budget(epochs=10, batch=128, lr=0.05)
    fit(selector, train, plain(label), budget, 0, tmp_path / "scratch")
    after_NC = answer(selector, report, report.rows("train"))[0]
    assert percent(mean_NC, report) < 40 and percent(after_NC, report) > 95
