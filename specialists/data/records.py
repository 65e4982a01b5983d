"""The records of one array in a large JSON file, one at a time, so that they never fill the memory.

`Place` says where a record stands, for the errors about it.
"""

import json
import re

CHUNK = 1 << 22
SPACE = re.compile(r"[ \t\n\r]*")
DECODE = json.JSONDecoder().raw_decode


def records(path, key):
    """Yield each element of the array at `key` of the top-level object; the whole file must be JSON."""
    try:
        file = open(path, encoding="utf-8")
    except OSError as error:
        raise ValueError(f"{path}: {error.strerror}") from None
    with file:
        text, seen, count = _Text(file), [], 0
        try:
            text.expect("{")
            while text.another("}", first=not seen):
                seen.append(text.value())
                if seen.count(key) > 1:
                    raise ValueError("a key that stands twice")
                text.expect(":")
                if seen[-1] != key:
                    text.value()
                    continue
                text.expect("[")
                while text.another("]", first=not count):
                    yield text.value()
                    count += 1
            text.ended()
        except (json.JSONDecodeError, UnicodeDecodeError, RecursionError) as error:
            at = f"{key}[{count}]" if key in seen else "the beginning"
            raise ValueError(f"{path}: {at}: not JSON, perhaps cut short: {text.explain(error)}") from None
        except ValueError as error:  # ours, and that of a number with more digits than Python reads
            reason = str(error).partition(";")[0]
            raise ValueError(f"{path}: {key}[{count}]: {reason}") from None
    if not count:
        raise ValueError(f"{path}: {key}: expected a list with entries, found {_found(seen, key)}")


def _found(seen, key):
    return "an empty list" if key in seen else f"only the keys {', '.join(map(repr, seen)) or '(none)'}"


class _Text:
    """A window on the file that grows until the next JSON value is whole and drops what was read."""

    def __init__(self, file):
        self.file, self.text, self.at, self.dropped = file, "", 0, 0

    def more(self):
        # at least doubling, so that a value which is never whole costs linear time
        chunk = self.file.read(max(CHUNK, len(self.text) - self.at))
        done = self.at * bool(chunk)  # at the end all stays in its place
        self.text, self.dropped, self.at = self.text[done:] + chunk, self.dropped + done, self.at - done
        return bool(chunk)

    def peek(self):
        while True:
            self.at = SPACE.match(self.text, self.at).end()
            if self.at < len(self.text):
                return self.text[self.at]
            if not self.more():
                raise json.JSONDecodeError("the file ends here", self.text, self.at)

    def expect(self, sign):
        if self.peek() != sign:
            raise json.JSONDecodeError(f"expected {sign!r}, found {self.peek()!r}", self.text, self.at)
        self.at += 1

    def ended(self):
        if SPACE.fullmatch(self.text[self.at :] + self.file.read(CHUNK)) is None:
            raise ValueError("text after the end")

    def another(self, close, first):
        """Step over the comma before the next element, or over the bracket that ends the list."""
        if self.peek() == close:
            self.at += 1
            return False
        if not first:
            self.expect(",")
        return True

    def value(self):
        self.peek()
        while True:
            try:
                value, end = DECODE(self.text, self.at)
                if end < len(self.text):  # else a number may go on in the next chunk
                    self.at = end
                    return value
                whole = None
            except json.JSONDecodeError as error:
                whole = error
            if not self.more():
                raise whole or json.JSONDecodeError("the file ends here", self.text, len(self.text))

    def explain(self, error):
        if isinstance(error, json.JSONDecodeError):
            return f"{error.msg} (character {self.dropped + error.pos})"
        return "nested too deeply" if isinstance(error, RecursionError) else f"not UTF-8 ({error.reason})"


class Place:
    """Where a record stands, for the errors about it."""

    def __init__(self, path, at):
        self.path, self.at = path, at

    def wrong(self, key, found, right):
        found = repr(found) if len(repr(found)) < 80 else repr(found)[:76] + " ..."
        return ValueError(f"{self.path}: {self.at}{'.' * bool(key)}{key}: found {found}, expected {right}")

    def take(self, record, key, *kinds):
        """record[key], which must be there and have one of the types."""
        if type(record) is not dict:
            raise self.wrong("", record, "an object in braces")
        if key not in record:
            beside = ", ".join(record) or "nothing"
            raise ValueError(f"{self.path}: {self.at}.{key}: missing; found beside it: {beside}")
        if type(record[key]) not in kinds:
            raise self.wrong(key, record[key], " or ".join(kind.__name__ for kind in kinds))
        return record[key]
