"""Which answers are learned, and how right they are: by hand, and by the official accuracy."""

import random

import pytest
import torch

from specialists.answers import votes
from specialists.data.vqa2 import scoring
from specialists.data.vqa2.official import Annotation
from specialists.data.vqa2.vocabulary import packed, shares, vocabulary

FORMS = ["yes", "no", "2", "red", "blue dog", "none at all"]
SAID = {
    "yes": ["yes", "Yes."],
    "no": ["no", "NO"],
    "2": ["two", "2"],
    "red": ["the red"],
    "blue dog": ["blue-dog"],
}


def annotation(common, answers=()):
    return Annotation(0, 0, "is it", "other", common, tuple(answers))


def test_what_is_common_often_enough_is_learned_in_sorted_order():
    common = ["Two"] * 2 + ["2"] * 1 + ["red"] * 3 + ["the red"] + ["yes"] * 2
    assert vocabulary(map(annotation, common), least=3) == ["2", "red"]
    assert vocabulary(map(annotation, common), least=2) == ["2", "red", "yes"]


@pytest.mark.parametrize(("same", "share"), [(1, 0.3), (2, 0.6), (3, 0.9), (4, 1), (10, 1)])
def test_shares_by_hand(same, share):
    found = shares(["red"] * same + ["other"] * (10 - same), {"blue": 0, "red": 1})
    assert found == {1: pytest.approx(share)}


def test_a_share_is_the_official_accuracy_of_the_answer():
    draw, places = random.Random(0), {form: i for i, form in enumerate(FORMS[:5])}
    for _ in range(300):
        forms = draw.choices(FORMS[: draw.randint(2, 6)], k=10)
        answers = [draw.choice(SAID.get(form, [form])) for form in forms]
        if len(set(answers)) == 1:
            continue  # the evaluator then compares letter by letter
        found = shares(answers, places)
        assert found.keys() == {places[form] for form in forms if form in places}
        for form, place in places.items():
            assert found.get(place, 0) == pytest.approx(scoring.accuracy(form, answers))


def test_packed_is_what_votes_read():
    several = [{4: 0.9, 7: 0.3}, {}, {2: 1.0}]
    target = torch.from_numpy(packed(several))
    assert target.shape == (3, 2, 2) and packed([{}]).shape == (1, 2, 1)
    for answer in range(9):
        right = votes.right(torch.full((3,), answer), target)
        assert right.tolist() == pytest.approx([each.get(answer, 0) for each in several])
