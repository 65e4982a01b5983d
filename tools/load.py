"""python -m tools.load

How fast questions are answered, by the ensemble and by the student, in fp32 and in int8: in this process,
from decoded pictures and from PNG files, and through MLflow's server by 1, 4 and 16 clients, each of whom
asks again as soon as it is answered. Measured in one run, printed as a table in markdown.

reads   models/onnx/*.onnx, pictures and questions of data.root
writes  nothing that stays
"""

import base64
import http.client
import json
import os
import signal
import socket
import subprocess
import sys
import tempfile
import time
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing, suppress
from pathlib import Path

import numpy as np

from specialists.base.command import run
from specialists.base.params import read
from specialists.data.clevr import official
from specialists.serving import answering

SECONDS, CLIENTS = 8, (1, 4, 16)
NAMES = ("ensemble", "ensemble-int8", "student", "student-int8")


def main():
    from specialists.serving.served import saved  # which loads mlflow, for which --help need not wait

    report = official.read(read("data.root", str), "val")
    asked = [(report.images[i], report.text[row]) for row, i in enumerate(report.image[:200])]
    print("| | from pixels, ms | questions/s | from a PNG, ms | questions/s |", end="")
    print(" served, p50 ms | p99 ms |", *(f" questions/s of {clients} |" for clients in CLIENTS), sep="")
    print("|" + "---|" * (7 + len(CLIENTS)))
    for name in NAMES:
        path = f"models/onnx/{name}.onnx"
        here = alone(answering.Onnx(path), asked)
        with tempfile.TemporaryDirectory() as folder:
            saved(path, asked[0][0], f"{folder}/model")
            with Server(f"{folder}/model") as port:
                served = [together(port, asked, clients) for clients in CLIENTS]
        row = [number for times in here for number in (1000 * np.median(times), 1 / np.mean(times))]
        row += [1000 * np.percentile(served[0], q) for q in (50, 99)]
        row += [len(times) / SECONDS for times in served]
        shown = " | ".join(f"{value:.{1 if value >= 1 else 3}f}" for value in row)
        print(f"| {name} | {shown} |", flush=True)


def alone(model, asked):
    """Seconds of each question: from pixels and numbered words to answers, and from a PNG and a question."""
    about, contents = model.about, [(Path(image).read_bytes(), text) for image, text in asked]
    inputs = [
        (answering.pixels(content, about["size"]), *answering.words(text, about["words"], about["longest"]))
        for content, text in contents
    ]
    return timed(model.run, inputs), timed(model, contents)


def timed(call, inputs):
    """Seconds of each call, of every input three times, after a few that warm up."""
    times = []
    for each in inputs[:20] + inputs * 3:
        start = time.perf_counter()
        call(*each)
        times.append(time.perf_counter() - start)
    return times[20:]


class Server:
    """`tools.serve` on the loopback address, with one model."""

    def __init__(self, uri):
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            self.port = free.getsockname()[1]
        self.process = subprocess.Popen(
            [sys.executable, "-m", "tools.serve", uri, "--port", str(self.port)],
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            start_new_session=True,
        )

    def __enter__(self):
        end = time.monotonic() + 120
        while time.monotonic() < end and self.process.poll() is None:
            with (
                suppress(OSError),
                closing(http.client.HTTPConnection("127.0.0.1", self.port, 5)) as connection,
            ):
                if call(connection, "GET", "/ping") == 200:
                    return self.port
            time.sleep(0.2)
        self.__exit__()
        raise ValueError("tools.serve: it ended, or did not answer within two minutes")

    def __exit__(self, *_):
        with suppress(ProcessLookupError):
            os.killpg(self.process.pid, signal.SIGTERM)
        self.process.wait()


def call(connection, method, place, body=None):
    connection.request(method, place, body, {"Content-Type": "application/json"})
    response = connection.getresponse()
    response.read()
    return response.status


def together(port, asked, clients):
    """Seconds of every answer to so many clients within SECONDS."""
    bodies = [
        json.dumps(
            {"inputs": {"image": base64.b64encode(Path(image).read_bytes()).decode(), "question": text}}
        )
        for image, text in asked
    ]

    def client(first):
        with closing(http.client.HTTPConnection("127.0.0.1", port)) as connection:
            call(connection, "POST", "/invocations", bodies[first])
            end, times = time.perf_counter() + SECONDS, []
            while (start := time.perf_counter()) < end:
                body = bodies[(first + len(times)) % len(bodies)]
                if call(connection, "POST", "/invocations", body) != 200:
                    raise ValueError("the server refused a question of data.root")
                times.append(time.perf_counter() - start)
        return times[:-1]  # the last one ended after SECONDS

    with ThreadPoolExecutor(clients) as pool:
        return sum(pool.map(client, range(clients)), [])


if __name__ == "__main__":
    run(main)
