"""Ways to spoil the content of a file, for tools/fuzz.py."""

import re

STRANGE = ["-1", "0", "1e999", "1" + "0" * 400, "9" * 5000, "NaN", "null", "true", "[]", "{}", "[" * 3000]
STRANGE += ['""', '"\\ud800"', '"../../x"', ".inf", "1.5"]
TOKEN = re.compile(rb'-?\d+(?:\.\d+)?|"[^"\n]{0,60}"|\b(?:true|false|null)\b')


def spoilt(content, rng):
    for _ in range(rng.randint(1, 3)):
        content = rng.choice((flipped, cut, lost, twice, strange, strange))(content, rng)
    return content


def flipped(content, rng):
    changed = bytearray(content)
    for _ in range(rng.randint(1, 8)):
        if changed:
            changed[rng.randrange(len(changed))] = rng.choice((0, 10, 45, 48, 123, 255, rng.randrange(256)))
    return bytes(changed)


def cut(content, rng):
    return content[: rng.randrange(len(content) + 1)]


def lost(content, rng):
    a = rng.randrange(len(content) + 1)
    return content[:a] + content[a + rng.randint(1, 200) :]


def twice(content, rng):
    a = rng.randrange(len(content) + 1)
    piece = content[a : a + rng.randint(1, 400)]
    return content[:a] + piece + content[a:]


def strange(content, rng):
    """Something in place of a number or a string."""
    found = list(TOKEN.finditer(content[: 1 << 20]))
    if not found:
        return flipped(content, rng)
    token = rng.choice(found)
    return content[: token.start()] + rng.choice(STRANGE).encode() + content[token.end() :]
