"""A real MLflow server: what is sent to it, and its pages as a person sees them."""

import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import time
import urllib.request

import pytest
from mlflow import MlflowClient

from tests.browser import CHROMIUM, browser
from tests.conftest import run


@pytest.fixture(scope="module")
def server(tmp_path_factory):
    """`mlflow ui` on the loopback address, with nothing in it."""
    folder = tmp_path_factory.mktemp("server")
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        address = f"http://127.0.0.1:{free.getsockname()[1]}"
    command = f"mlflow ui --workers 1 --port {address.rsplit(':', 1)[1]} --backend-store-uri"
    with open(folder / "server.log", "wb") as log:
        process = subprocess.Popen(
            [*command.split(), f"sqlite:///{folder}/server.db"],
            cwd=folder,
            stdout=log,
            stderr=log,
            start_new_session=True,
        )
    try:
        for _ in range(240):
            try:
                with urllib.request.urlopen(f"{address}/health"):
                    break
            except OSError:
                time.sleep(0.25)
        yield address
    finally:
        os.killpg(process.pid, signal.SIGKILL)
        process.wait()


@pytest.fixture(scope="module")
def tracked(finished, server, tmp_path_factory):
    """A folder whose cells `track` sent to the server."""
    folder = shutil.copytree(finished, tmp_path_factory.mktemp("sent") / "specialists", symlinks=True)
    (folder / "mlflow.db").unlink()
    done = run(folder, sys.executable, "-m", "stages.track", MLFLOW_TRACKING_URI=server)
    folder.with_name("said").write_text(done.stdout)
    return folder


@pytest.fixture
def cells(tracked, server):
    """The runs of cells on the server."""
    client = MlflowClient(server)
    experiment = client.get_experiment_by_name("table").experiment_id
    return client.search_runs([experiment], "tags.kind = 'cell'")


def test_a_remote_server_holds_every_cell_the_table_and_its_pictures(tracked, cells, server):
    rows = json.loads((tracked / "metrics/table.json").read_text())
    assert len(cells) == len(rows) + 1
    client = MlflowClient(server)
    (parent,) = {cell.data.tags["mlflow.parentRunId"] for cell in cells if cell.data.tags["lane"] == "table"}
    assert {item.path for item in client.list_artifacts(parent)} >= {"table.md", "plots"}
    assert not (tracked / "mlflow.db").exists()


def named(kind, words):
    """The element of that kind which says exactly these words, in JavaScript."""
    return f"[...document.querySelectorAll('{kind}')].find(each => each.innerText.trim() === '{words}')"


DOWNWARDS = """[...document.querySelectorAll('[role=gridcell] a')]
    .sort((one, other) => one.getBoundingClientRect().y - other.getBoundingClientRect().y)
    .map(each => each.innerText)"""
FALLING = """(names, top1) => names.length === Object.keys(top1).length
    && names.every((name, i) => i === 0 || top1[names[i - 1]] >= top1[name])"""


def accuracies(cells):
    table = [each for each in cells if each.data.tags["lane"] == "table"]
    return {each.info.run_name: each.data.metrics["top1"] for each in table}


needs_chromium = pytest.mark.skipif(not CHROMIUM, reason="no Chromium is installed")


@needs_chromium
def test_the_saved_view_lists_the_cells_and_comparing_all_shows_top1_against_k_and_method(
    cells, server, tmp_path
):
    top1 = accuracies(cells)
    with browser(tmp_path / "profile") as page:
        page.open(server)
        page.click(named("[role=button]", "Model training"))
        page.click(named("a", "Experiments"))
        page.click(named("a", "table"))
        page.click(named("button", "Views"))
        page.click(named("[role=menuitem]", "cells of the table"))
        page.wait(f"({FALLING})({DOWNWARDS}, {json.dumps(top1)})")
        columns = page.script(
            "[...document.querySelectorAll('[role=columnheader]')].map(each => each.innerText)"
        )
        page.click("document.querySelector('[aria-label=\"Select all runs\"]')")
        page.click(named("button", "Compare"))
        page.wait("document.querySelectorAll('.axis-title').length")
        seen = page.text()
        axes = page.script("[...document.querySelectorAll('.axis-title')].map(each => each.textContent)")
        page.picture(tmp_path / "compare.png")  # of which docs/compare.png is a part
    assert {"ece", "oracle", "select/top1", "top1"} <= {each.strip() for each in columns}
    assert f"Comparing {len(top1)} Runs" in seen and all(name in seen for name in top1)
    assert axes == ["cell.k", "cell.method", "cell.row", "top1"]


@needs_chromium
def test_the_link_that_track_prints_opens_the_cells_with_the_best_first(tracked, cells, server, tmp_path):
    link = next(word for word in tracked.with_name("said").read_text().split() if "#/experiments/" in word)
    assert link.startswith(f"{server}/#/experiments/")
    with browser(tmp_path / "profile") as page:
        page.open(link)
        page.wait(f"({FALLING})({DOWNWARDS}, {json.dumps(accuracies(cells))})")
        page.picture(tmp_path / "cells.png")
