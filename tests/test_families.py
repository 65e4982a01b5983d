"""Questions: all 90 families, answers that follow from the programs, and texts that do not give them away."""

import random
from collections import Counter, defaultdict

import pytest

from specialists.data.clevr import families, world
from specialists.data.clevr.official import TEMPLATES
from specialists.data.clevr.programs import ANSWERS, category, execute

SETTINGS = world.World(seed=5, train_images=150, val_images=60, questions_per_image=10, width=320, height=240)


def asked(split):
    """[(scene, family, text, program, answer)] as the stage asks them."""
    rng, tally, found = random.Random(split), families.tallies(), []
    for i in range(SETTINGS.images(split)):
        scene = world.scene(SETTINGS, split, i)
        questions = families.ask(scene, SETTINGS.questions_per_image, rng, tally)
        found += [(scene, *question) for question in questions]
    return found


@pytest.fixture(scope="module")
def train():
    return asked("train")


@pytest.fixture(scope="module")
def val():
    return asked("val")


def test_groups_have_the_official_sizes_in_alphabetical_order():
    groups = [family.group for family in families.FAMILIES]
    assert groups == sorted(groups)
    assert Counter(groups) == TEMPLATES
    assert len(groups) == 90


def test_every_family_is_asked_about_equally_often(train):
    counts = Counter(family for _, family, *_ in train)
    assert set(counts) == set(range(90))
    assert all(0.7 <= n * 90 / len(train) <= 1.3 for n in counts.values()), counts


def test_stored_answers_follow_from_the_programs(train):
    for scene, _, text, program, answer in train:
        assert execute(program, scene) == answer, text
        assert answer in ANSWERS


def test_a_program_is_what_its_group_says(train):
    """Independent of the sketches: the number of relations and joins, and the last function."""
    hops = {"zero_hop": 0, "one_hop": 1, "two_hop": 2, "three_hop": 3, "single_and": 2}
    joins = {"single_and": "intersect", "single_or": "union"}
    for _, family, _, program, _ in train:
        group, names = families.FAMILIES[family].group, [node["function"] for node in program]
        if group in hops:
            assert names.count("relate") == hops[group]
        for join in ("intersect", "union"):
            assert (join in names) == (join == joins[group] if group in joins else False)
        assert any(name.startswith("same_") for name in names) == (group == "same_relate")
        ends = {"compare_integer": ("equal_integer", "less_than", "greater_than"), "single_or": ("count",)}
        if group in ends:
            assert category(program) in ends[group]
        elif group == "comparison":
            assert category(program).startswith("equal_")


def test_a_relation_matters(train):
    """Without it, a one-hop query would be ill-posed: its description fits several objects of the scene."""
    for scene, family, text, program, _ in train:
        if families.FAMILIES[family].group == "one_hop" and category(program).startswith("query"):
            last = max(i for i, node in enumerate(program) if node["function"] == "relate")
            fits = scene["objects"]
            for node in program[last + 1 :]:
                if node["function"].startswith("filter_"):
                    kind, value = node["function"].removeprefix("filter_"), node["value_inputs"][0]
                    fits = [thing for thing in fits if thing[kind] == value]
            assert len(fits) > 1, text


def test_both_names_two_different_objects(train):
    """Both left and right of the same object is nothing, whatever the scene."""
    for scene, _, text, program, _ in train:
        anchors = [program[: i + 1] for i, node in enumerate(program) if node["function"] == "unique"]
        if any(node["function"] == "intersect" for node in program):
            first, second = (_object(scene, steps) for steps in anchors[:2])
            assert first != second, text


def _object(scene, steps):
    """Which object the filters before the last function leave."""
    fits = range(len(scene["objects"]))
    while steps[-1]["inputs"]:
        steps = steps[: steps[-1]["inputs"][0] + 1]
        if steps[-1]["function"].startswith("filter_"):
            kind, value = steps[-1]["function"].removeprefix("filter_"), steps[-1]["value_inputs"][0]
            fits = [i for i in fits if scene["objects"][i][kind] == value]
    (found,) = fits
    return found


def test_questions_of_an_image_differ_and_are_short_and_plain(train):
    by_image = defaultdict(list)
    for scene, _, text, *_ in train:
        by_image[scene["image_index"]].append(text)
        assert len(text.split()) <= families.LONGEST
        assert "{" not in text and "  " not in text and text[0].isupper() and text[-1] in "?."
    assert all(len(set(texts)) == len(texts) == 10 for texts in by_image.values())
    words = {word.strip("?.:,").lower() for _, _, text, *_ in train for word in text.split()}
    assert 75 <= len(words) <= 95, sorted(words)


def test_the_family_does_not_tell_the_answer(train, val):
    """The answer a family has most often in train, given to every question of val."""
    seen = defaultdict(Counter)
    for _, family, _, _, answer in train:
        seen[family][answer] += 1
    guess = {family: counts.most_common(1)[0][0] for family, counts in seen.items()}
    accuracy = sum(guess[family] == answer for _, family, _, _, answer in val) / len(val)
    assert accuracy <= 0.45
    learnt, asked = ([(family, answer) for _, family, _, _, answer in part] for part in (train, val))
    assert families.blind(learnt, asked) == pytest.approx(100 * accuracy)
    for family, counts in seen.items():
        if set(counts) == {"yes", "no"} and counts.total() >= 12:
            assert abs(counts["yes"] / counts.total() - 0.5) <= 0.2, family


def test_the_same_randomness_asks_the_same(val):
    assert asked("val") == val
