"""Which groups work for what, and the tables of the sparse mixture, from metrics by hand."""

import pytest
import torch
from torch import nn

from specialists.networks import modular
from specialists.tables import sparse
from stages.routing import used, watched


def files(**more):
    each = {"overall": 60.0}
    single = {"parameters": 7, "select": each, "report": each}
    routed = {"multiplications": {"convolutions": 3e6, "gates": 1e6}, "flops": 1.2e7, "effective": [2.0, 4.0]}
    routed["used"] = [[[0.0, 1.0], [], [0.5, 0.5]], [[0.25, 1.0], [], [0.25, 1.0]]]
    return {
        "singles/a-s0": single,
        "singles/a-s1": single | {"report": {"overall": 64.0}},
        "routing/singles/a-s0": routed,
        "routing/singles/a-s1": routed
        | {"effective": [3.0, 3.0], "used": [[[1.0, 0.0], [], [1.0, 0.0]], [[0.25, 1.0], [], [0.25, 1.0]]]},
    } | more


def beside(name):
    return {"latency": {"latency_1_ms": 2.0, "latency_64_ms": 30.0}}


def test_a_row_is_the_mean_over_seeds_with_the_costs_of_the_first():
    row = sparse.row("a", [0, 1], files().__getitem__, beside)
    assert row["report"] == {"mean": 62.0, "std": pytest.approx(8**0.5)}
    assert (row["n"], row["convolutions"], row["gates"], row["effective"]) == (2, 3e6, 1e6, 3.0)
    assert (row["least_used"], row["most_used"]) == (0.0, 1.0)  # of 0.25, 0.75, 1 and 0; of 0.25 and 1 twice
    broken = files(**{"singles/a-s1": {"parameters": 7, "select": {"overall": 1.0}, "report": {}}})
    with pytest.raises(ValueError, match="metrics/singles/a-s1.json: report.overall: found None"):
        sparse.row("a", [0, 1], broken.__getitem__, beside)


def test_the_table_as_a_person_reads_it():
    plain = files(**{"routing/singles/a-s0": files()["routing/singles/a-s0"] | {"effective": [], "used": []}})
    rows = {"k_3": sparse.row("a", [0, 1], files().__getitem__, beside)}
    rows["plain"] = sparse.row("a", [0], plain.__getitem__, beside)
    rows["question_only"] = {"n": 1, "report": {"mean": 40.0, "std": None}}
    assert sparse.trained(rows).splitlines()[2:] == [
        "| k 3 | **62.00 ± 2.83** | 3.00 | 1.00 | 12.00 | 3.0 | 0% to 100% | 2.0 | 30.0 |",
        "| plain | 60.00 | 3.00 | 1.00 | 12.00 | all | all | 2.0 | 30.0 |",
        "| question only | 40.00 |  |  |  |  |  |  |  |",
    ]


def test_who_is_better_than_whom():
    sure = {"gain": 2.5, "low": 1.0, "high": 4.0, "seeds": [2.0, 3.0]}
    unsure = {"gain": -0.25, "low": -1.0, "high": 0.5, "seeds": [-0.25]}
    assert sparse.gains({"k_3": {"plain": sure, "k12": unsure}}).splitlines()[2:] == [
        "| k 3 | plain | **+2.50** | +1.00 to +4.00 | +2.00, +3.00 |",
        "| k 3 | k12 | -0.25 | -1.00 to +0.50 | -0.25 |",
    ]


def test_rivals_are_networks_that_train():
    known = {"seeds": [0], "networks": ["a", "b", "c"], "blind": "question_only"}
    assert sparse.Singles(**known, rivals=[["c", "b"], ["a", "b"]]).compared == ["a", "b", "c"]
    for pair in (["a", "d"], ["a"]):
        with pytest.raises(ValueError, match="rivals: .* is no pair of singles.networks"):
            sparse.Singles(**known, rivals=[pair])


def test_published_figures_stand_beside_ours(tmp_path):
    path = tmp_path / "published.csv"
    path.write_text("network,active,FLOPs,accuracy\nbig,8,45.94e9,51.28\n")
    found = {"parameters": 2e6, "multiplications": {"convolutions": 5e6, "gates": 1e6}, "flops": 2e9}
    took = {"0": 1.0, "8": 2.0, "16": 3.0}
    table = sparse.costs(
        {"big": {"16": found, "8": found, "0": found}},
        {"big": {active: {"latency_1_ms": one, "latency_64_ms": 9.0} for active, one in took.items()}},
        sparse.published(path),
    )
    assert table.splitlines()[2:] == [
        "| big | all, no gates | 2.0 | 5.0 | 1.0 | 2,000.0 | 1.0 | 9.0 |  |  |",
        "| big | 16 | 2.0 | 5.0 | 1.0 | 2,000.0 | 3.0 | 9.0 |  |  |",
        "| big | 8 | 2.0 | 5.0 | 1.0 | 2,000.0 | 2.0 | 9.0 | 45.94e9 | 51.28 |",
    ]
    assert sparse.published(tmp_path / "none.csv") == {}
    path.write_text("network,active,FLOPs,accuracy\nbig,8\n")
    with pytest.raises(ValueError, match="published.csv: line 2: 'big,8': expected network,active,FLOPs,acc"):
        sparse.published(path)


def test_what_gates_said_is_seen_and_counted_by_family():
    gates = nn.ModuleList(modular.Drawn(4, 2, seed) for seed in range(2))
    number_B = torch.arange(6)

    def answering():
        for part in number_B.split(4):
            for gate in gates:
                gate(torch.zeros(1), part)
        return "said"

    chosen, said = watched(gates, answering)
    assert said == "said"
    assert [each.shape for each in chosen] == [(6, 4), (6, 4)]
    assert torch.equal(chosen[1], gates[1](torch.zeros(1), number_B)[0])
    gates[0](torch.zeros(1), number_B)  # nobody watches any more
    assert len(chosen[0]) == 6
    weight_BG = torch.tensor([[0.5, 0.5, 0.0], [1.0, 0.0, 0.0], [0.0, 0.2, 0.8]])
    assert used(weight_BG, torch.tensor([2, 2, 0]), 3) == [[0.0, 1.0, 1.0], [], [1.0, 0.5, 0.0]]
