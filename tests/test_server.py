"""A real MLflow server: what is sent to it, and its pages as a person sees them."""

import json
import os
import re
import shutil
import signal
import socket
import subprocess
import time
import urllib.parse
import urllib.request

import pytest
from mlflow import MlflowClient

from tests.conftest import stage

BROWSER = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
QUIET = "--headless --no-sandbox --disable-gpu --disable-quic --no-first-run --disable-sync".split()
OFFLINE = "--disable-background-networking --disable-component-update --virtual-time-budget=30000".split()


@pytest.fixture
def server(tmp_path):
    """`mlflow ui` on the loopback address, with nothing in it."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        address = f"http://127.0.0.1:{free.getsockname()[1]}"
    command = f"mlflow ui --workers 1 --port {address.rsplit(':', 1)[1]} --backend-store-uri"
    with open(tmp_path / "server.log", "wb") as log:
        process = subprocess.Popen(
            [*command.split(), f"sqlite:///{tmp_path}/server.db"],
            cwd=tmp_path,
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


@pytest.fixture
def cells(clone, server, monkeypatch):
    """The runs of cells that `track` sent to the server."""
    (clone / "mlflow.db").unlink()
    monkeypatch.setenv("MLFLOW_TRACKING_URI", server)
    stage(clone, "track")
    client = MlflowClient(server)
    experiment = client.get_experiment_by_name("table").experiment_id
    return client.search_runs([experiment], "tags.kind = 'cell'")


def test_a_remote_server_holds_every_cell_the_table_and_its_pictures(clone, cells, server):
    rows = json.loads((clone / "metrics/table.json").read_text())
    assert len(cells) == len(rows) + 1
    client = MlflowClient(server)
    parent = cells[-1].data.tags["mlflow.parentRunId"]
    assert {item.path for item in client.list_artifacts(parent)} >= {"table.md", "plots"}
    assert not (clone / "mlflow.db").exists()


@pytest.mark.skipif(not BROWSER, reason="no Chromium is installed")
def test_a_comparison_of_the_table_opens_on_cell_k_method_and_accuracy(cells, server, tmp_path):
    ids = urllib.parse.quote(json.dumps([cell.info.run_id for cell in cells]))
    page = f"{server}/#/compare-runs?runs={ids}&experiments=%5B%22{cells[0].info.experiment_id}%22%5D"
    done = subprocess.run(
        [BROWSER, *QUIET, *OFFLINE, f"--user-data-dir={tmp_path}/profile", "--dump-dom", page],
        capture_output=True,
        text=True,
        timeout=120,
    )
    assert f"Comparing {len(cells)} Runs" in done.stdout
    axes = re.findall(r'class="axis-title"[^>]*>([^<]+)<', done.stdout)
    assert axes == ["cell", "cell.k", "cell.method", "top1"]
    assert all(cell.info.run_name in done.stdout for cell in cells)
