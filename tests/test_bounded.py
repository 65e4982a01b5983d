"""What a request may be before MLflow sees it, as ASGI messages; tests/test_students.py asks over HTTP."""

import asyncio
import json

import pytest

from specialists.serving import bounded

QUESTION = json.dumps({"inputs": {"image": "aa==", "question": "Red?"}}).encode()
SCOPE = {"type": "http", "method": "POST", "headers": [(b"content-type", b"application/json")]}


def parts(body, size=1 << 20):
    pieces = [body[at : at + size] for at in range(0, len(body), size)] or [b""]
    last = len(pieces) - 1
    return [{"type": "http.request", "body": each, "more_body": i < last} for i, each in enumerate(pieces)]


def told(messages, scope=SCOPE):
    """(what the inner application was given or None, the messages that were sent)"""
    given, sent, messages = [], [], [*messages]

    async def receive():
        return messages.pop(0) if messages else await asyncio.Event().wait()

    async def send(message):
        sent.append(message)

    async def inner(scope, receive, send):
        given.append((await receive()).get("body") if scope["type"] == "http" else scope["type"])

    asyncio.run(bounded.Bounded(inner)(scope, receive, send))
    return given[0] if given else None, sent


def refused(messages, scope=SCOPE):
    """(status, line)"""
    given, (start, body) = told(messages, scope)
    line = json.loads(body["body"])["message"]
    assert given is None and "\n" not in line and len(line) < 300
    return start["status"], line


@pytest.mark.parametrize("size", [1, 7, 1 << 20])
def test_a_question_is_handed_on_however_it_arrives(size):
    several = json.dumps({"inputs": [{"image": "aa==", "question": "Red?"}] * 100}).encode()
    for body in (QUESTION, several):
        assert told(parts(body, size)) == (body, [])


def test_what_has_no_body_and_what_is_no_request_is_handed_on():
    assert told(parts(b""), SCOPE | {"method": "GET"}) == (b"", [])
    assert told([], {"type": "lifespan"}) == ("lifespan", [])


def test_who_goes_away_is_told_nothing():
    assert told([parts(QUESTION, 7)[0], {"type": "http.disconnect"}]) == (None, [])


def test_what_does_not_arrive_is_not_waited_for(monkeypatch):
    monkeypatch.setattr(bounded, "SECONDS", 0)
    assert refused([]) == (408, "body: has not arrived within 0 seconds")


def test_a_body_that_is_too_long_is_counted_to_its_end_and_not_kept(monkeypatch):
    monkeypatch.setattr(bounded, "BYTES", 100)
    assert refused(parts(b"a" * 1000, 64)) == (413, "body: 1000 bytes, the limit is 100")
    assert told(parts(QUESTION, 64))[0] == QUESTION


BODIES = {
    "nested": (b"[" * 100_000, "body: 100000 commas and opening brackets, the limit is 1000"),
    "nested within the limit": (b'{"inputs":' * 999 + b"1" + b"}" * 999, "body: "),
    "digits": (b'{"inputs": ' + b"9" * 5000 + b"}", "body: not JSON (a number of 5000 characters, the limit"),
    "not JSON": (b"{", "body: not JSON (Expecting property name"),
    "not UTF-8": (b"\xff" * 9, "body: not JSON ('utf-8' codec can't decode"),
    "empty": (b"", "body: not JSON (Expecting value"),
    "a number": (b"1", "body: expected {"),
    "nothing": (b'{"inputs": []}', "body: expected {"),
    "no row": (b'{"inputs": ["image"]}', "body: expected {"),
    "other form": (b'{"instances": [{"image": "", "question": ""}]}', "body: expected {"),
    "more": (b'{"inputs": {"image": "", "question": ""}, "params": {}}', "body: expected {"),
    "another field": (b'{"inputs": {"image": "", "question": "", "a": ""}}', "body: expected {"),
    "a field missing": (b'{"inputs": [{"question": ""}]}', "image: is missing, expected text"),
    "a field of lists": (
        b'{"inputs": {"image": [""], "question": [""]}}',
        "image: is missing, expected text",
    ),
    "half a pair": (
        b'{"inputs": {"image": "", "question": "a\\ud800"}}',
        "question: character 1: half of a surrogate",
    ),
}


@pytest.mark.parametrize("name", BODIES)
def test_what_is_no_question_is_one_line(name):
    body, message = BODIES[name]
    status, line = refused(parts(body))
    assert status == 400 and line.startswith(message)


@pytest.mark.parametrize("kind", [b"text/csv", b"", b"application/json; charset=latin1", b"\xff"])
def test_what_is_not_json_by_name_is_one_line(kind):
    status, line = refused(parts(QUESTION), SCOPE | {"headers": [(b"content-type", kind)]})
    assert (status, line[:14]) == (415, "Content-Type: ")
