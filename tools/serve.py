"""python -m tools.serve MODEL [--host HOST] [--port PORT]

Serve a model of MLflow's registry, such as models:/student@champion, or of a folder: as `mlflow models serve`
does, behind bounds on bodies (serving/bounded.py) and on connections. Only this machine can ask, unless HOST
says otherwise; PORT is 5001.

reads   MODEL; mlflow.db of the main checkout, or where MLFLOW_TRACKING_URI points
writes  nothing
"""

import os
import sys
from pathlib import Path

from specialists.base.command import run
from specialists.tracking.store import checkout

FOLDER = Path(__file__).resolve().parents[1] / "specialists/serving"
LAST = 65535
CONNECTIONS = 64  # at a time, each with a body in memory; one more is answered 503


def main(model: str, *, host: str = "127.0.0.1", port: int = 5001):
    if not 1 <= port <= LAST:
        raise ValueError(f"--port: {port} is out of range: 1 to {LAST}")
    os.environ.setdefault("MLFLOW_TRACKING_URI", f"sqlite:///{checkout() / 'mlflow.db'}")
    os.environ |= {"SERVED": model, "MLFLOW_DISABLE_TELEMETRY": "true"}
    words = [sys.executable, "-m", "uvicorn", "--app-dir", str(FOLDER), "--factory", "bounded:application"]
    words += ["--host", host, "--port", str(port), "--limit-concurrency", str(CONNECTIONS)]
    os.execv(sys.executable, words)  # in place of this process, which has loaded code that the model brings


if __name__ == "__main__":
    run(main)
