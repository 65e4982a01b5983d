"""VQA v2: the official JSON and the official accuracy."""

import json
import random
import re
from fractions import Fraction

import pytest

from specialists.data.vqa2 import official, scoring
from tests.conftest import tool

PEOPLE = ["yes"] * 4 + ["no"] * 3 + ["maybe"] * 2 + ["Yes."]


@pytest.mark.parametrize(
    ("answer", "form"),
    [
        ("The Dog", "dog"),
        ("an apple", "apple"),
        ("two", "2"),
        ("None", "0"),
        ("dont", "don't"),
        ("youd've", "you'd've"),
        ("you'dve", "you'd've"),
        ("somebody'd", "somebodyd"),  # the other way round
        ("lets", "lets"),  # not in the official list
        ("red/blue", "red blue"),
        ("red / blue", "red blue"),
        ("t-shirt", "t shirt"),
        ("t -shirt", "t shirt"),  # next to a blank the sign goes without leaving one
        ("t- shirt-dress", "t shirtdress"),  # ... wherever else in the answer it stands
        ("1,000", "1000"),
        (
            "1,000 t-shirts",
            "1000 tshirts",
        ),  # a number with a comma makes all signs go without leaving a blank
        ("3.5", "3.5"),
        ("3.", "3"),
        ("x.y", "xy"),
        ("." * 40, "." * 8),  # 32 of them go
        ("  no  ", "no"),
        ("the", ""),
    ],
)
def test_the_form_of_an_answer(answer, form):
    assert scoring.normalized(answer) == form


def slow(answer, answers):
    """Leave each person out once, and ask the others."""
    total = Fraction(0)
    for i in range(len(answers)):
        others = answers[:i] + answers[i + 1 :]
        total += min(Fraction(1), Fraction(others.count(answer), 3))
    return total / len(answers)


def test_accuracy_is_the_mean_over_leaving_each_person_out():
    draw = random.Random(0)
    for _ in range(500):
        answers = [draw.choice("abcde") for _ in range(10)] + ["x"]
        answer = draw.choice("abcdef")
        expected = (
            slow(answer, answers) if answer != "a" else slow("", ["" if x == "a" else x for x in answers])
        )
        assert scoring.accuracy(answer, answers) == pytest.approx(float(expected))


@pytest.mark.parametrize(("same", "accuracy"), [(0, 0), (1, 0.3), (2, 0.6), (3, 0.9), (4, 1), (9, 1)])
def test_of_ten_people_each_who_agrees_is_worth_three_tenths(same, accuracy):
    answers = ["red"] * same + ["blue"] * (10 - same)
    assert scoring.accuracy("red", answers) == pytest.approx(accuracy)


def test_only_where_people_differ_are_answers_brought_into_one_form():
    assert scoring.accuracy("Red.", ["red"] * 10) == 0
    assert scoring.accuracy("Red.", ["red"] * 9 + ["blue"]) == 1
    assert scoring.accuracy(" red\n", ["red"] * 10) == 1


QUESTIONS = [{"question_id": i, "image_id": 10 + i, "question": f"Is it {i}?"} for i in range(4)]
ANNOTATIONS = [
    {
        "question_id": i,
        "image_id": 10 + i,
        "question_type": "is it",
        "answer_type": "yes/no" if i < 3 else "other",
        "multiple_choice_answer": "yes",
        "answers": [
            {"answer_id": n, "answer": answer, "answer_confidence": "yes"}
            for n, answer in enumerate(PEOPLE, 1)
        ],
    }
    for i in range(4)
]
RESULTS = [{"question_id": i, "answer": answer} for i, answer in enumerate(["yes", "no", "maybe", "cat"])]
FILES = {
    "questions": {"info": {}, "questions": QUESTIONS},
    "annotations": {"info": {}, "annotations": ANNOTATIONS},
    "results": RESULTS,
    "pairs": [[0, 1], [0, 99], [3, 0]],
}


@pytest.fixture
def folder(tmp_path):
    for name, tree in FILES.items():
        (tmp_path / f"{name}.json").write_text(json.dumps(tree))
    return tmp_path


def evaluate(folder, *more):
    files = ("results.json", "questions.json", "annotations.json")
    return tool(folder, "vqa_eval", *files, *more, check=False)


def test_the_tool_prints_what_counting_by_hand_gives(folder):
    """yes 5 of 10: 1; no 3: 0.9; maybe 2: 0.6; cat 0: 0. No pair that was asked is right in full."""
    done = evaluate(folder, "--pairs", "pairs.json")
    rows = [line.split(maxsplit=1) for line in done.stdout.splitlines()]
    assert rows == [
        ["62.50", "overall"],
        ["83.33", "answer type: yes/no"],
        ["62.50", "question type: is it"],
        ["0.00", "answer type: other"],
        ["0.00", "complementary pairs"],
    ]


def test_a_pair_counts_if_both_answers_count_in_full():
    annotations = [
        official.Annotation(i, 0, "is it", "yes/no", "yes", ("yes",) * 5 + ("no",) * 5) for i in range(4)
    ]
    answers = {0: "yes", 1: "no", 2: "cat", 3: "yes"}
    assert scoring.table(answers, annotations, [(0, 1), (1, 2)])["complementary pairs"] == 50


@pytest.mark.parametrize(
    ("name", "change", "complaint"),
    [
        ("results", lambda t: t.pop(), "results.json: no answer to question 3, nor to 0 more"),
        (
            "results",
            lambda t: t.append(t[0]),
            r"results.json: \[4\].question_id: found 0, expected an id that no",
        ),
        (
            "results",
            lambda t: t[0].update(question_id=7),
            r"results.json: \[0\].question_id: found 7, expected the",
        ),
        ("results", lambda t: t[1].update(answer=3), r"results.json: \[1\].answer: found 3, expected str"),
        (
            "results",
            lambda t: t[2].pop("answer"),
            r"results.json: \[2\].answer: missing; found beside it: question",
        ),
        (
            "questions",
            lambda t: t["questions"].pop(),
            "results.json: .3..question_id: found 3, expected the id of",
        ),
        (
            "annotations",
            lambda t: t["annotations"].pop(),
            "annotations.json: question 3 is missing; the other file",
        ),
        (
            "annotations",
            lambda t: t["annotations"].append(t["annotations"][1]),
            r"annotations.json: annotations\[4\].question_id: found 1, expected an id that no",
        ),
        (
            "annotations",
            lambda t: t["annotations"][2]["answers"].__setitem__(0, {"answer": None}),
            r"annotations.json: annotations\[2\].answers.answer: found None, expected str",
        ),
        (
            "annotations",
            lambda t: t["annotations"][2].update(answer_type="number "),
            r"annotations.json: annotations\[2\].answer_type: found 'number ', expected one of",
        ),
        (
            "annotations",
            lambda t: t.pop("annotations"),
            "annotations.json: annotations: expected a list with entries",
        ),
    ],
)
def test_what_does_not_fit_is_one_line_that_names_the_record(folder, name, change, complaint):
    path = folder / f"{name}.json"
    tree = json.loads(path.read_text())
    change(tree)
    path.write_text(json.dumps(tree))
    done = evaluate(folder)
    assert done.returncode == 1 and done.stdout == ""
    assert re.match(f"tools.vqa_eval: {complaint}", done.stderr) and done.stderr.count("\n") == 1


@pytest.mark.parametrize("name", ["results", "questions", "annotations", "pairs"])
def test_a_file_that_was_cut_short_is_one_line(folder, name):
    path = folder / f"{name}.json"
    path.write_text(path.read_text()[:-5])
    done = evaluate(folder, "--pairs", "pairs.json")
    assert done.returncode == 1 and f"{name}.json: " in done.stderr and "perhaps cut short" in done.stderr


def test_an_option_without_its_value_is_one_line(folder):
    assert evaluate(folder, "--pairs").stderr == "tools.vqa_eval: --pairs: expected PAIRS after it\n"
