"""The stages that only the sparse mixture has, at smoke scale: what they write, and what its tables hold."""

import pytest

from tests.conftest import ROOT
from tests.smoke import as_recorded, asked, declares, follow, read
from tools import small

FOLDER = ROOT / "pipelines/sparse"
KINDS = """
stand_in features base generalize evaluate_generalists specialize evaluate distill evaluate_student report
single routing rivals blind published sparse
""".split()
FEW = {"seeds": [0], "networks": ["plain", "k6", "drawn6"], "rivals": [["k6", "plain"], ["k6", "drawn6"]]}


@pytest.fixture(scope="module")
def params():
    whole = small.overlaid(FOLDER)
    return whole | {"singles": whole["singles"] | FEW}


@pytest.fixture(scope="module")
def ran(tmp_path_factory, params):
    """Where they ran, and the stages."""
    place = tmp_path_factory.mktemp("sparse")
    (place / "published.csv").write_text((FOLDER / "published.csv").read_text())
    stages = asked(FOLDER, place, params, KINDS)
    follow([line for _, line in stages.values()])
    return place, {name: stage for name, (stage, _) in stages.items()}


def test_each_declares_the_code_it_loads_and_the_params_it_reads(ran, params):
    declares(*ran, params)


def test_they_write_what_they_declare_with_the_bits_that_were_recorded_on_another_machine(ran):
    place, stages = ran
    same = {name: stage for name, stage in stages.items() if name != "rivals"}  # which are fewer here
    as_recorded(place, same, FOLDER, least=25)


def test_the_tables_hold_what_was_measured_apart(ran):
    place, _ = ran
    rows, page = read(place / "metrics/sparse.json"), (place / "metrics/sparse.md").read_text()
    assert {*rows} == {*FEW["networks"], "question_only"}
    for name in FEW["networks"]:
        single = read(place / f"metrics/singles/{name}-s0.json")
        assert rows[name]["report"]["mean"] == single["report"]["overall"]
    gains = read(place / "metrics/rivals.json")["k6"]
    for other in ("plain", "drawn6"):
        difference = rows["k6"]["report"]["mean"] - rows[other]["report"]["mean"]
        assert gains[other]["gain"] == pytest.approx(difference, abs=2e-3)
    assert rows["drawn6"]["effective"] == 6 and rows["drawn6"]["gates"] == 0 < rows["k6"]["gates"]
    assert 0 <= rows["k6"]["least_used"] < rows["k6"]["effective"] / 12 < rows["k6"]["most_used"] <= 1
    costs = read(place / "metrics/published/relation_published.json")["6"]
    measured = read(place / "metrics/environment/published/relation_published.json")["latency"]["6"]
    times = " | ".join(f"{measured[f'latency_{size}_ms']:,.1f}" for size in (1, 64))
    assert f" | {costs['flops'] / 1e6:,.1f} | {times} | 3.21e7 | 92.23 |\n" in page
