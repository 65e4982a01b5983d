"""What is drawn is what the table says."""

import numpy as np

from specialists.tables import plots

METHODS = {"ie": {}, "ie_plus": {}, "mcl": {}, "cmcl": {}, "mcl_kd": {}}
SHARED = {f"{row}_fs": {"method": row, "sharing": 0.7} for row in ("ie_plus", "cmcl", "mcl_kd")}
LOOKS = plots.looks(METHODS | SHARED, ["ie", "ie_plus", "ie_plus_fs"])


def row(method, k, top1, oracle=80.0, std=1.0):
    numbers = {"top1": top1, "oracle": oracle, "ece": 3.0, "nll": 1.0}
    report = {name: {"mean": value, "std": std} for name, value in numbers.items()}
    return {"network": "san", "method": method, "k": k, "report": report}


ROWS = {"a": row("ie", None, 50.0), "b": row("mcl", 1, 40.0), "c": row("mcl", 2, 45.0, std=None)}


def test_a_line_per_method_with_k_and_a_level_line_without():
    figure = plots.against_k(ROWS, ["san"], LOOKS)
    axes = figure.axes[0]
    drawn = [np.asarray(line.get_ydata(), float).tolist() for line in axes.lines]
    assert [50.0, 50.0] in drawn and [40.0, 45.0] in drawn
    assert [text.get_text() for text in axes.get_legend().get_texts()] == ["IE", "MCL"]


def test_families_of_a_kind_are_one_column_with_their_mean():
    figure = plots.heat({"IE": {"zero_hop 0": 10.0, "zero_hop 12": 30.0, "people": 70.0}}, "title", "family")
    assert [text.get_text() for text in figure.axes[0].get_xticklabels()] == ["zero_hop", "people"]
    assert [text.get_text() for text in figure.axes[0].texts] == ["20", "70"]


def test_a_point_per_row_and_bars_as_high_as_the_numbers_also_of_one_seed():
    rows = {"a": row("ie", None, 50.0, std=None), "b": row("mcl_kd_fs", 1, 51.0, 70.0, std=None)}
    points = [line.get_xydata().tolist() for line in plots.against_oracle(rows, ["san"], LOOKS).axes[0].lines]
    assert [[80.0, 50.0]] in points and [[70.0, 51.0]] in points
    ece, nll = plots.calibration(rows, ["san"], LOOKS).axes
    assert [bar.get_height() for bar in ece.patches] == [3.0, 3.0]
    assert [bar.get_height() for bar in nll.patches] == [1.0, 1.0]


def test_no_spread_is_drawn_where_none_is_known():
    one, three = ({"a": row("mcl", 1, 50.0, std=std)} for std in (None, 2.0))
    for draw in (plots.against_k, plots.against_oracle, plots.calibration):
        bars = [[bar for bar in draw(rows, ["san"], LOOKS).axes[0].collections] for rows in (one, three)]
        assert not bars[0] and bars[1]


def test_reliability_draws_what_is_kept_against_what_is_promised():
    many, few = ({"confidence": 90.0, "top1": 60.0, "examples": number} for number in (50, 49))
    bins = {("san", "cmcl", 1): [many, few], ("mlp", "ie", None): []}
    san, mlp = plots.reliability(bins, ["san", "mlp"], LOOKS).axes
    assert [line.get_xydata().tolist() for line in san.lines[1:]] == [[[90.0, 60.0]]]
    assert [[text.get_text() for text in each.get_legend().get_texts()] for each in (san, mlp)] == [
        ["CMCL, k = 1"],
        ["IE"],
    ]


def test_curves_start_at_epoch_one():
    curve = [{"select_top1": 10.0}, {"select_top1": 20.0}]
    left, right = plots.curves({0: curve}, {("mcl", 1): curve}, "SAN", LOOKS).axes
    for axes in (left, right):
        assert axes.lines[0].get_xydata().tolist() == [[1.0, 10.0], [2.0, 20.0]]
    assert right.get_legend().get_texts()[0].get_text() == "MCL, k = 1"


def test_a_colour_per_method_grey_for_generalists_and_a_line_for_what_is_the_same_otherwise():
    seen = {row: (look.colour, look.line) for row, look in LOOKS.items()}
    grey, (red, ochre, blue) = seen["ie"][0], (seen[row][0] for row in ("mcl", "cmcl", "mcl_kd"))
    assert len({grey, red, ochre, blue, seen["student"][0]}) == 5
    assert seen["ie_plus"] == (grey, ":") and seen["ie_plus_fs"] == (grey, "--")
    assert seen["mcl_kd"] == (blue, "-") and seen["mcl_kd_fs"] == (blue, "--")
    assert [LOOKS["mcl_kd_fs"].titled(k) for k in (None, 2)] == ["MCL-KD+FS", "MCL-KD+FS, k = 2"]


def test_another_method_gets_the_next_colour_and_changes_none(monkeypatch):
    monkeypatch.setattr(plots, "titles", lambda methods: dict.fromkeys(methods, "any") | {"student": "s"})
    another = plots.looks(METHODS | SHARED | {"soft": {}, "hot": {"method": "mcl_kd"}}, ["ie", "ie_plus"])
    assert another["soft"].colour not in {look.colour for look in LOOKS.values()}
    assert (another["hot"].colour, another["hot"].line) == (another["mcl_kd"].colour, ":")
    assert all(another[row].colour == LOOKS[row].colour for row in METHODS)
