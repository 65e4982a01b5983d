"""Every block of commands in experiments.md and review.md does what the page says, run as it stands."""

import re
import subprocess
import tempfile
import time

import pytest
from mlflow import MlflowClient

from tests import ready
from tests.conftest import ROOT, blocks, edit, environment, installed, run, tool
from tests.test_pipeline import stale


def shell(folder, script):
    """What it prints, by way of a file: a pipe would wait for the workers of DVC's queue as well."""
    with tempfile.TemporaryFile("w+") as printed:
        words, env = ["bash", "-euc", script], environment(PATH=ready.path(folder))
        done = subprocess.run(words, cwd=folder, stdout=printed, env=env)  # pytest keeps stderr
        printed.seek(0)
        text = printed.read()
    assert done.returncode == 0, text
    return text


def names(folder):
    return set(run(folder, "dvc", "exp", "list", "--name-only").stdout.split())


def test_experiments(clone, monkeypatch):
    monkeypatch.setenv("COLUMNS", "200")
    start, show, beside, views, *_ = blocks("docs/experiments.md", "sh")
    sweep = "-S method=ie,mcl,cmcl,mcl_kd -S k=1,2,3"
    assert sweep in start
    fewer = "-S method=ie,mcl_de -S k=2"  # of which one fails
    shell(clone, start.replace(sweep, fewer))
    deadline = time.monotonic() + 300
    while re.search("Queued|Running", run(clone, "dvc", "queue", "status").stdout):
        assert time.monotonic() < deadline, "the queue does not come to its end"
        time.sleep(1)
    assert run(clone, "git", "status", "--porcelain").stdout == ""
    made = names(clone)
    assert {"cmcl", "mcl-two"} < made and len(made) == 3
    told = shell(clone, show)
    assert all(name in told for name in made)
    assert told.count(" Failed ") == 1
    header = next(line for line in told.splitlines() if "Experiment" in line)
    assert all(word in header for word in ("report.top1", "report.oracle", "method", "k"))
    params = (clone / "params.yaml").read_text()
    assert re.search(r"^method: mcl$", params, re.MULTILINE) and re.search(r"^k: 2$", params, re.MULTILINE)
    assert stale(clone) == set()
    told = shell(clone, beside)
    assert (
        "| cell: SAN MCL-KD k = 1, then SAN CMCL k = 1 | " in told and "| method | k | select top-1 |" in told
    )
    assert "| oracle | " in told and max(map(len, told.split("report.ece")[-1].splitlines())) < 80
    lines = shell(clone, views).splitlines()
    assert any("| specialize_cell |" in line for line in lines) and "Running stage 'code':" in lines
    assert max(len(line) for line in lines if "://" not in line) <= 120
    branch = run(clone, "git", "show", "try-cmcl:params.yaml").stdout
    assert re.search(r"^method: cmcl$", branch, re.MULTILINE)
    client = MlflowClient(f"sqlite:///{clone}/mlflow.db")
    found = client.search_runs([client.get_experiment_by_name("table").experiment_id], "tags.kind = 'cell'")
    chosen = [each for each in found if each.info.run_name.endswith(" (cell)")]
    assert {"cmcl: san-cmcl-k1-s0 (cell)", "mcl-two: san-mcl-k2-s0 (cell)"} <= {
        e.info.run_name for e in chosen
    }
    cells = [(each.data.tags["method"], each.data.tags["k"]) for each in chosen]
    assert sorted(cells) == [("cmcl", "1"), ("ie", "all"), ("mcl", "2"), ("mcl_kd", "1")]
    assert {"cmcl", "mcl-two"} <= {each.data.tags.get("experiment") for each in chosen}
    assert all(each.info.status == "FINISHED" for each in found)


def test_many_cells_at_once(clone):
    *_, parallel, by_hand = blocks("docs/experiments.md", "sh")
    installed(clone)
    edit(clone, lambda tree: tree["specialize"].update(epochs=1))
    assert "JOBS=8" in parallel  # more than two generalists and three specialists
    shell(clone, by_hand)
    shell(clone, parallel)
    run(clone, "git", "add", "--all")
    assert stale(clone) == set()
    assert " 0 differences" in tool(clone, "verify").stdout.splitlines()[-1]


def test_review(clone):
    verify, diff, pictures, cause, recompute = blocks("docs/review.md", "sh")
    run(clone, "git", "branch", "--move", "main")
    run(clone, "git", "switch", "--quiet", "--create", "change")
    assert " 0 differences" in shell(clone, verify).splitlines()[-1]
    assert "7 of 7 rows are the same." in shell(clone, diff)
    shell(clone, pictures)
    page = (clone / "dvc_plots/index.html").read_text()
    assert re.search("[0-9a-f]{7,}_metrics_plots_accuracy.png", page) and "http" not in page
    edit(clone, lambda tree: tree.update(k=2))
    run(clone, "git", "commit", "--quiet", "--all", "--message", "k")
    assert "params.yaml | 2 +-" in shell(clone, cause)
    run(clone, "git", "revert", "--no-edit", "HEAD")
    assert "the same to the bit" in shell(clone, recompute)


@pytest.mark.parametrize("page", [path.name for path in (ROOT / "docs").glob("*.md")])
def test_every_file_that_a_page_names_exists(page):
    links = re.findall(r"\]\(([^)#:]+)\)", (ROOT / "docs" / page).read_text())
    assert [link for link in links if not (ROOT / "docs" / link).exists()] == []
