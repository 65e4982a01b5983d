"""The tables of the slides from metrics by hand."""

import pytest

from specialists.tables import slides, tactics


def files(**more):
    each = {"overall": 60.0, "yes/no": 70.0, "number": 40.0, "other": 50.0}
    return {
        "singles/a-s0": {"parameters": 5, "kept_mib": 1.5, "select": each, "report": each},
        "singles/a-s1": {
            "parameters": 5,
            "kept_mib": 1.5,
            "select": each,
            "report": each | {"overall": 64.0},
        },
        "votes/a-s0": {split: {"5": {"by type": each}} for split in ("select", "report")},
    } | more


def test_a_row_is_the_mean_over_seeds():
    row = slides.single(
        "a", [0, 1], files().__getitem__, {"singles/a-s0": 10.0, "singles/a-s1": 20.0}.__getitem__
    )
    assert (row["n"], row["seconds"], row["kept_mib"], row["parameters"]) == (2, 15.0, 1.5, 5)
    assert row["report"]["overall"] == {"mean": 62.0, "std": pytest.approx(8**0.5)}
    assert slides.voted("a", [0], "5 by type", files().__getitem__)["report"]["number"] == {
        "mean": 40.0,
        "std": None,
    }


def test_a_number_that_is_missing_is_named():
    broken = files(**{"singles/a-s1": {"parameters": 5, "kept_mib": 1.5, "select": {}, "report": {}}})
    with pytest.raises(
        ValueError, match="metrics/singles/a-s1.json: select.overall: found None, expected a number"
    ):
        slides.single("a", [0, 1], broken.__getitem__, lambda name: 1.0)


def test_ours_stand_beside_theirs(tmp_path):
    path = tmp_path / "slides.csv"
    path.write_text("row,overall,yes/no,number,other,MiB,hours\na_b,69.80,85.19,53.38,60.37,,\n")
    kinds = {kind: {"mean": 50.0, "std": None} for kind in slides.KINDS}
    rows = {"a_b": {"report": kinds}, "c oracle": {"report": kinds | {"overall": {"mean": 90.0, "std": 1.0}}}}
    assert slides.markdown("Networks", rows, slides.published(path)).splitlines() == [
        "**Networks**",
        "",
        "|  | overall | yes/no | number | other | paper overall | paper yes/no "
        "| paper number | paper other |",
        "|---|---|---|---|---|---|---|---|---|",
        "| a b | **50.00** | 50.00 | 50.00 | 50.00 | 69.80 | 85.19 | 53.38 | 60.37 |",
        "| c oracle | 90.00 ± 1.00 | 50.00 | 50.00 | 50.00 |  |  |  |  |",
    ]
    assert slides.published(tmp_path / "none.csv") == {}
    path.write_text("row,overall\na,1\n")
    with pytest.raises(ValueError, match="slides.csv: line 1: 'row,overall': expected row,overall,yes/no"):
        slides.published(path)


SINGLES = {"seeds": [0], "networks": ["a", "b"], "network": "a", "boxes": [30], "budgets": ["whole"]}
SINGLES |= {"teacher": "t", "student": "b"}


def test_rivals_are_two_rows_of_the_tables():
    rows = tactics.Singles(**SINGLES).rows(), tactics.ensembles([1, 2])
    known = "a, b, boxes_30, whole, untaught, taught, or of 1 mean, 2 mean, 2 majority, 2 by type, 2 oracle"
    assert ", or of ".join(map(", ".join, rows)) == known
    rivals = [["a", "b"], ["taught", "boxes_30"], ["2 by type", "1 mean"]]
    assert tactics.paired(rivals, *rows) == rivals
    no = ["a"], ["a", "b", "a"], ["a", "boxes_40"], ["a", "t"], ["1 majority", "1 mean"], ["a", "1 mean"]
    for pair in no:
        with pytest.raises(ValueError, match=f"rivals: .* is no pair of {known}"):
            tactics.paired([pair], *rows)


def test_a_gain_is_bold_where_its_interval_has_no_zero():
    sure, unsure = ({"gain": 1.5, "low": low, "high": 2.5, "seeds": [1.5]} for low in (0.5, -0.5))
    kinds = dict.fromkeys(slides.KINDS, unsure)
    found = {"a_c": {"b": kinds, "a": kinds | {"number": sure}}, "b": {"a": kinds | {"overall": sure}}}
    no, yes = "+1.50 (-0.50 to +2.50)", "**+1.50** (+0.50 to +2.50)"
    assert tactics.compared(found, [["b", "a"], ["a_c", "a"]]).splitlines() == [
        "**Compared**",
        "",
        "| | over | overall | yes/no | number | other |",
        "|---|---|---|---|---|---|",
        f"| b | a | {yes} | {no} | {no} | {no} |",
        f"| a c | a | {no} | {no} | {yes} | {no} |",
    ]
