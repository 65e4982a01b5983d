"""Rows in pairs: the gain, its interval, and what the pages make of them."""

import json
import random
from statistics import mean, stdev

import pytest

from specialists.data.clevr import official
from specialists.tables.learned import dominated
from specialists.tables.paired import gain
from tests.conftest import ROOT, run
from tools.gains import gains, markdown


def test_by_hand():
    """Gains 1, 0, 0, 1 of four: mean 50; s = 57.735, s / 2 = 28.868, and t(3) at 97.5 % is 3.1824."""
    found = gain([[1, 1, 0, 1]], [[0, 1, 0, 0]])
    assert found == {"gain": 50.0, "low": -41.869, "high": 141.869, "seeds": [50.0]}


def test_rows_that_are_equal_have_no_doubt():
    assert gain([[1, 0]], [[1, 0]]) == {"gain": 0, "low": 0, "high": 0, "seeds": [0]}


def test_one_seed_is_the_bootstrap_over_examples():
    draw = random.Random(0)
    first, second = ([float(draw.random() < p) for _ in range(400)] for p in (0.6, 0.5))
    differences = [100 * (a - b) for a, b in zip(first, second, strict=True)]
    means = sorted(mean(draw.choices(differences, k=400)) for _ in range(4000))
    found = gain([first], [second])
    assert found["gain"] == pytest.approx(mean(differences), abs=0.001)
    assert [found["low"], found["high"]] == pytest.approx([means[100], means[3900]], abs=0.6)


def test_the_interval_holds_the_truth_nearly_always():
    """Crossed effects of examples and of three seeds on top of a true gain of 2 points."""
    draw, held, trials = random.Random(1), 0, 400
    for _ in range(trials):
        example = [draw.gauss(0, 0.2) for _ in range(60)]
        first = [
            [0.02 + shift + each for each in example] for shift in (draw.gauss(0, 0.03) for _ in range(3))
        ]
        found = gain(first, [[0.0] * 60] * 3)
        held += found["low"] <= 2 <= found["high"]
    assert held / trials > 0.9  # of 3,000 trials 92 to 95 %, by how much seeds differ


def test_several_seeds_differ_as_seeds_do():
    """All examples alike: what is left is Student's t over the seeds. t(2) at 97.5 % is 4.3027."""
    found = gain([[0.1] * 50, [0.2] * 50, [0.6] * 50], [[0.0] * 50] * 3)
    half = 4.3027 * stdev([10, 20, 60]) / 3**0.5
    assert [found["low"], found["high"]] == pytest.approx([30 - half, 30 + half], abs=0.01)


def test_whose_family_is_whose():
    assert list(dominated([[3, 1], [0, 4], [5, 5]])) == [(0, 75.0), (1, 100.0)]
    assert list(dominated([[0, 0], [0, 0]])) == [(0, 0.0), (0, 0.0)]


def test_the_stages(clone):
    """The gain of a pair is the difference of the table; each specialist has a family of the world."""
    table = json.loads((clone / "metrics/table.json").read_text())
    paired = json.loads((clone / "metrics/paired/san.json").read_text())
    assert paired.keys() == table.keys()
    for row, controls in paired.items():
        assert controls.keys() == {"san-ie", "san-ie_plus"} - {row}
        for control, found in controls.items():
            means = [table[each]["report"]["top1"]["mean"] for each in (row, control)]
            assert found["gain"] == pytest.approx(
                means[0] - means[1], abs=0.9
            )  # one question of 120, by fp16
            assert found["low"] <= found["gain"] <= found["high"]
    lines = (clone / "metrics/specialties/san.md").read_text().splitlines()
    rows = [[each.strip() for each in line.strip("|").split("|")] for line in lines[2:]]
    assert [row[0] for row in rows] == ["1", "2"]
    asked = json.loads((clone / "data/stand_in/questions/CLEVR_val_questions.json").read_text())["questions"]
    for _, named, _, questions in rows:  # the first three of a family
        found = [each for each in asked if official.FAMILIES[each["question_family_index"]] == named]
        assert questions == " ".join(sorted({each["question"] for each in found[:3]}))


def test_a_network_of_no_table_is_named_before_anything_trains(clone):
    params = (clone / "params.yaml").read_text()
    (clone / "params.yaml").write_text(
        params.replace("paired:\n  networks:\n  - san", "paired:\n  networks:\n  - mlp")
    )
    done = run(clone, "dvc", "repro", "code", check=False)
    assert "paired.networks: 'mlp' is not in table.networks; known: san" in done.stdout + done.stderr


def test_gains_are_those_of_the_cells(tmp_path):
    """Of Table 4, whose rows have a cell each."""
    cells = ROOT / "pipelines/cifar100/metrics/cells"
    top1 = {path.stem: json.loads(path.read_text())["report"]["top1"] for path in cells.glob("*.json")}
    found = [each for each in gains(ROOT) if each[1] == "RESNET20"]
    assert [each[2:4] for each in found] == [
        (title, k) for title in ("MCL-KD", "MCL-KD+FS") for k in (1, 2, 3)
    ]
    for _, _, title, k, n, over_ie, over_control, _ in found:
        shared = "_fs" if title.endswith("FS") else ""
        own = top1[f"resnet20-mcl_kd{shared}-k{k}-s0"]
        assert n == 1 and over_ie["gain"] == own - top1["resnet20-ie-s0"]
        assert over_control["gain"] == own - top1[f"resnet20-ie_plus{shared}-s0"]
    assert found[0][-1] == pytest.approx(65.27 - 64.60)  # as published
    assert markdown(tmp_path).count("\n") == 2  # nothing computed yet: the head alone
