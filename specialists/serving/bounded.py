"""MLflow's scoring server behind bounds: what a request may be is checked before MLflow parses it.

MLflow itself takes a body of any size, answers HTTP 500 to what its parsers stumble over, and repeats a whole
request, picture and all, in what it says of others. This file imports nothing of ours, because a model brings
its own code, which must come first. `python -m tools.serve` runs it.
"""

import asyncio
import json
import os
import sys

BYTES = 8 << 20  # of a body: a picture of 6 MiB in base64
SIGNS = 1000  # commas and opening brackets, which bound what a parser makes of a body; a question has 3
DIGITS = 20  # no question has a number
SECONDS = 30  # in which a body has to arrive
KINDS = ("application/json", "application/json; charset=utf-8")
INPUTS = ("image", "question")
RIGHT = 'expected {"inputs": {"image": BASE64, "question": TEXT}}, or a list of these'


class Refused(Exception):
    """HTTP status and line."""


class Gone(Exception):
    """Whoever asked is no longer there."""


class Bounded:
    """An ASGI application that hands on to another what is within bounds."""

    def __init__(self, inner):
        self.inner = inner

    async def __call__(self, scope, receive, send):
        if scope["type"] != "http":
            return await self.inner(scope, receive, send)
        try:
            async with asyncio.timeout(SECONDS):
                body = await arrived(receive)
            if scope["method"] == "POST":
                kind(dict(scope["headers"]).get(b"content-type", b"").decode("latin1"))
                check(body)
        except Gone:
            return
        except TimeoutError:
            return await answer(send, 408, f"body: has not arrived within {SECONDS} seconds")
        except Refused as refused:
            return await answer(send, *refused.args)
        await self.inner(scope, again(body, receive), send)


async def arrived(receive):
    """The body of a request; one that is too long is counted and not kept."""
    parts, size, more = [], 0, True
    while more:
        message = await receive()
        if message["type"] == "http.disconnect":
            raise Gone
        part, more = message.get("body", b""), message.get("more_body", False)
        size += len(part)
        parts.append(part) if size <= BYTES else parts.clear()
    if size > BYTES:
        raise Refused(413, f"body: {size} bytes, the limit is {BYTES}")
    return b"".join(parts)


def kind(found):
    if found.lower() not in KINDS:
        raise Refused(415, f"Content-Type: {found[:80]!r}, expected {KINDS[0]}")


def check(body):
    """Refuse all but questions about pictures."""
    if (signs := sum(map(body.count, (b",", b"[", b"{")))) > SIGNS:
        raise Refused(400, f"body: {signs} commas and opening brackets, the limit is {SIGNS}")
    try:
        tree = json.loads(body, parse_int=number, parse_float=number)
    except (ValueError, RecursionError) as error:
        raise Refused(400, f"body: not JSON ({error}); {RIGHT}") from None
    rows = tree.get("inputs") if isinstance(tree, dict) and len(tree) == 1 else None
    rows = rows if isinstance(rows, list) else [rows]
    if not rows or not all(isinstance(row, dict) and row.keys() <= {*INPUTS} for row in rows):
        raise Refused(400, f"body: {RIGHT}")
    for row in rows:
        for name in INPUTS:
            text(name, row.get(name))


def number(digits):
    if len(digits) > DIGITS:
        raise ValueError(f"a number of {len(digits)} characters, the limit is {DIGITS}")
    return float(digits)


def text(name, value):
    if not isinstance(value, str):
        raise Refused(400, f"{name}: is missing, expected text")
    try:
        value.encode()
    except UnicodeEncodeError as error:
        raise Refused(400, f"{name}: character {error.start}: half of a surrogate pair") from None


def again(body, receive):
    """What hands a body on that has arrived."""
    messages = [{"type": "http.request", "body": body, "more_body": False}]

    async def handed():
        return messages.pop() if messages else await receive()

    return handed


async def answer(send, status, line):
    """As MLflow says what is wrong."""
    body = json.dumps({"error_code": "BAD_REQUEST", "message": line}).encode()
    headers = [(b"content-type", b"application/json"), (b"content-length", str(len(body)).encode())]
    await send({"type": "http.response.start", "status": status, "headers": headers})
    await send({"type": "http.response.body", "body": body})


def application():
    """The server of the model that SERVED names."""
    from mlflow.exceptions import MlflowException
    from mlflow.pyfunc import load_model, scoring_server

    try:
        return Bounded(scoring_server.init(load_model(os.environ["SERVED"])))
    except (MlflowException, OSError) as error:
        sys.exit(f"tools.serve: MODEL: {os.environ['SERVED']!r}: {' '.join(str(error).split())[:300]}")
