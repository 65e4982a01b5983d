"""python -m tools.endure REQUESTS [--seed SEED]

Does the server of tools/serve.py endure? Sixteen clients send REQUESTS in all. Every fifth is spoilt: an
oddity that MLflow alone stumbles over, or a question changed as in tools/fuzz.py. Right is the answer that
the model gives in this process; of what is spoilt an answer, or HTTP 4xx in one line. A line for each that
went wrong; exit code 1 if there is any.

reads   models/onnx/student-int8.onnx, pictures and questions of data.root
writes  nothing that stays
"""

import base64
import http.client
import io
import json
import random
import sys
import tempfile
import time
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing

import numpy as np
import psutil
from PIL import Image

from specialists.base.command import run
from specialists.base.params import read
from specialists.data.clevr import official
from specialists.serving import answering
from tools.load import Server
from tools.spoil import spoilt

MODEL = "models/onnx/student-int8.onnx"
CLIENTS, BAD, LONGEST = 16, 5, 500  # clients; one of so many is spoilt; bytes of a refusal
JSON = "application/json"


def main(requests: int, *, seed: int = 0):
    from specialists.serving.served import saved  # which loads mlflow, for which --help need not wait

    report = official.read(read("data.root", str), "val")
    asked = [(report.images[i], report.text[row]) for row, i in enumerate(report.image[:200])]
    with tempfile.TemporaryDirectory() as folder:
        saved(MODEL, asked[0][0], f"{folder}/model")
        server = Server(f"{folder}/model")
        with server as port:
            wrong = endured(port, psutil.Process(server.process.pid), asked, requests, seed)
    print(*wrong, sep="\n", end="\n" * bool(wrong))
    sys.exit(bool(wrong))


def endured(port, process, asked, requests, seed):
    """What went wrong, after a line about all that did not."""
    model = answering.Onnx(MODEL)
    good = [(body(image.read_bytes(), text), answered(model, image, text)) for image, text in asked]
    took, statuses, megabytes = [], Counter(), []

    def client(first):
        wrong = []
        with closing(http.client.HTTPConnection("127.0.0.1", port, timeout=60)) as connection:
            for number in range(first, requests, CLIENTS):
                kind, content, wanted = request(number, good, seed)
                start = time.perf_counter()
                try:
                    status, said = sent(connection, kind, content)
                except (OSError, http.client.HTTPException) as error:
                    wrong.append(f"{number}: lost ({error!r}): {content[:80]!r}")
                    connection.close()
                    continue
                took.append(time.perf_counter() - start)
                statuses[status] += 1
                megabytes.append(process.memory_info().rss / 1e6)
                if line := fault(status, said, wanted):
                    wrong.append(f"{number}: {line}: {content[:80]!r}")
        return wrong

    begun = time.perf_counter()
    with ThreadPoolExecutor(CLIENTS) as pool:
        wrong = sum(pool.map(client, range(CLIENTS)), [])
    seconds = time.perf_counter() - begun
    early, late = (np.median(part) for part in (megabytes[requests // 10 :][:100], megabytes[-100:]))
    print(
        f"{requests} requests of {CLIENTS} clients in {seconds:.0f} s, {len(wrong)} wrong; HTTP "
        f"{', '.join(f'{status}: {count}' for status, count in sorted(statuses.items()))}; "
        f"p50 {1000 * np.median(took):.1f} ms, p99 {1000 * np.percentile(took, 99):.1f} ms; memory "
        f"{early:.0f} MB after a tenth, {late:.0f} at the end, {max(megabytes):.0f} at most"
    )
    return wrong


def answered(model, image, text):
    return answering.best(model(image.read_bytes(), text).mean(0), model.about["answers"], 1)[0]


def request(number, good, seed):
    """(Content-Type, body, the answer or None) of a request."""
    if number % BAD:
        return JSON, *good[number % len(good)]
    rng = random.Random(f"{seed} {number}")
    if rng.random() < 0.2:
        return *rng.choice(ODD), None
    return JSON, spoilt(rng.choice([good[0][0], *SMALL]), rng), None


def sent(connection, kind, content):
    connection.request("POST", "/invocations", content, {"Content-Type": kind})
    response = connection.getresponse()
    return response.status, response.read()


def fault(status, said, wanted):
    """What is wrong with an answer."""
    if status == 200:
        (first, *_) = json.loads(said)["predictions"] or [None]
        if wanted and (first["answer"], first["probability"]) != (wanted["answer"], wanted["probability"]):
            return f"found {first}, expected {wanted}"
    elif wanted or not 400 <= status < 500:
        return f"HTTP {status}: {said[:200]!r}"
    elif len(said) > LONGEST or b"\\n" in said or b"Traceback" in said:
        return f"HTTP {status} of {len(said)} bytes: {said[:200]!r}"


def body(picture, text):
    return json.dumps({"inputs": {"image": base64.b64encode(picture).decode(), "question": text}}).encode()


def _forms():
    """A small picture and a question in each form that MLflow knows."""
    Image.new("RGB", (8, 8)).save(file := io.BytesIO(), "PNG")
    row = json.loads(body(file.getvalue(), "How many red cubes are there?"))["inputs"]
    columns = {key: [value, value] for key, value in row.items()}
    split = {"columns": [*row], "index": [0], "data": [[*row.values()]]}
    forms = [{"inputs": row}, {"inputs": columns}, {"instances": [row]}]
    forms += [{"dataframe_records": [row, row]}, {"dataframe_split": split}]
    return [json.dumps(form).encode() for form in forms]


SMALL = _forms()
ODD = [
    (JSON, b"[" * 100_000),
    (JSON, b'{"inputs":' * 900 + b"1" + b"}" * 900),
    (JSON, b'{"inputs": ' + b"9" * 5000 + b"}"),
    (JSON, b'{"inputs": {"image": ["a", "b"], "question": ["c"]}}'),
    (JSON, b'{"inputs": {"image": "", "question": "\\ud800"}}'),
    (JSON, b'{"inputs": {"image": "' + b"A" * (9 << 20) + b'"}}'),
    (JSON, b"\xff\xfe"),
    (JSON, b""),
    ("text/csv", b"image,question\n"),
    ("application/vnd.apache.parquet", b"PAR1"),
    ("", SMALL[0]),
    (f"{JSON}; charset=latin1", SMALL[0]),
]


if __name__ == "__main__":
    run(main)
