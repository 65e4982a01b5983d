"""What stands in the figure of accuracy against operations, from tables by hand."""

import json

import yaml

from specialists.tables.panels import LOOKS, beside
from tools.scales import METHODS, SMALLER, small, sparse, whole


def row(network, method, k, top1, single=40.0, oracle=90.0):
    report = {"top1": top1, "single": single, "oracle": oracle}
    means = {each: {"mean": value, "std": None} for each, value in report.items()}
    return {"network": network, "method": method, "k": k, "n": 2, "report": means}


def written(folder, params, **metrics):
    (folder / "metrics").mkdir(parents=True)
    (folder / "params.yaml").write_text(yaml.safe_dump(params))
    for name, content in metrics.items():
        (folder / f"metrics/{name}.json").write_text(json.dumps(content))


def seen(points):
    return [(kind, round(cost, 3), accuracy["mean"], label) for kind, cost, accuracy, label in points]


TABLE = {
    "plain-mcl_kd-k2": row("plain", "mcl_kd", 2, 53.0, single=38.0),
    "plain-ie": row("plain", "ie", None, 51.0),
    "plain-mcl-k2": row("plain", "mcl", 2, 30.0),
    "plain-student": row("plain", "student", None, 50.0),
    "other-ie": row("other", "ie", None, 10.0),
}
PARAMS = {"table": {"members": [0, 1, 2], "ks": [2]}}


def test_an_ensemble_of_three_takes_three_times_the_operations(tmp_path):
    written(tmp_path / "one", PARAMS, table=TABLE)
    points, oracle, seeds = whole(tmp_path, "one", "plain", "")
    assert (oracle, seeds) == (90.0, 2)
    assert seen(points) == [
        ("one", 1, 40.0, ""),
        ("member", 1, 38.0, ""),
        ("ie", 3, 51.0, ""),
        ("mcl_kd", 3, 53.0, ""),
        ("student", 1, 50.0, ""),
    ]


def test_a_small_student_is_counted_in_members_of_its_teacher(tmp_path):
    """Three members take 60: one takes 20, the student 5."""
    rows = {f"tiny-{method}": row("tiny", method, None, 48.0) for method in SMALLER}
    params = {"network": "big", "distill": {"network": "tiny"}}
    costs = {"big": {"flops": 60}, "tiny": {"flops": 5}}
    written(tmp_path, params, table=rows, cost=costs)
    assert {(kind, cost) for kind, cost, *_ in seen(small(tmp_path, 3))} == {
        ("alone", 0.25),
        ("student", 0.25),
    }


def test_a_network_of_parts_is_counted_in_the_plain_one(tmp_path):
    each = {"report": {"mean": 47.0, "std": 1.0}}
    rows = {
        "plain": each | {"flops": 10, "gates": 0, "effective": None},
        "k6": each | {"flops": 9, "gates": 2, "effective": 5.5},
        "drawn6": each | {"flops": 8, "gates": 0, "effective": 6.0},
        "question_only": each,
    }
    written(tmp_path, PARAMS, table=TABLE, sparse=rows)
    points, *_ = sparse(tmp_path)
    assert seen(points)[-3:] == [
        ("dense", 1.0, 47.0, "plain"),
        ("chosen", 0.9, 47.0, "k6"),
        ("drawn", 0.8, 47.0, "drawn6"),
    ]


def test_equal_costs_stand_side_by_side_around_their_place():
    assert beside([1, 3, 1, 1], 8) == [-8, 0, 0, 8]
    assert beside([1, 3, 1, 1], 0) == [0, 0, 0, 0]


def test_every_kind_has_its_look():
    assert {*METHODS, *SMALLER.values(), "one", "member", "dense", "chosen", "drawn"} == {*LOOKS}
