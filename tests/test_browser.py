"""MLflow's pages as a person sees them: a comparison of cells opens on what the table is about."""

import json
import re
import shutil
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
def server(clone, tmp_path):
    """`mlflow ui` on the loopback address over the database of the pipeline."""
    (clone / "mlflow.db").unlink(missing_ok=True)
    stage(clone, "track")
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        address = f"http://127.0.0.1:{free.getsockname()[1]}"
    command = f"mlflow ui --workers 1 --port {address.rsplit(':', 1)[1]} --backend-store-uri"
    with open(tmp_path / "server.log", "wb") as log:
        process = subprocess.Popen(
            [*command.split(), f"sqlite:///{clone}/mlflow.db"], stdout=log, stderr=log, start_new_session=True
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
        subprocess.run(["pkill", "--session", str(process.pid)])
        process.wait()


@pytest.mark.skipif(not BROWSER, reason="no Chromium is installed")
def test_a_comparison_of_the_table_opens_on_k_method_and_accuracy(clone, server, tmp_path):
    client = MlflowClient(f"sqlite:///{clone}/mlflow.db")
    experiment = client.get_experiment_by_name("table").experiment_id
    cells = client.search_runs([experiment], "tags.kind = 'cell'")
    ids = urllib.parse.quote(json.dumps([cell.info.run_id for cell in cells]))
    page = f"{server}/#/compare-runs?runs={ids}&experiments=%5B%22{experiment}%22%5D"
    done = subprocess.run(
        [BROWSER, *QUIET, *OFFLINE, f"--user-data-dir={tmp_path}/profile", "--dump-dom", page],
        capture_output=True,
        text=True,
        timeout=120,
    )
    assert f"Comparing {len(cells)} Runs" in done.stdout
    axes = re.findall(r'class="axis-title"[^>]*>([^<]+)<', done.stdout)
    assert axes[:2] == ["k", "method"] and axes[-1] == "top1"
    assert all(cell.info.run_name in done.stdout for cell in cells)
