"""The command line of stages and tools: a typed main, and mistakes that are one line."""

import ast
import inspect
import os
import re
import shutil
import stat
import subprocess
import sys
import textwrap
import traceback
from contextlib import suppress
from pathlib import Path

from safetensors import SafetensorError

LONGEST = 1000  # characters of an error message
NAMES = 16  # characters of the names of commands, in a list
# What DVC and stages read of a pipeline. What lies in data.root, stages.code checks.
FILES = ("dvc.yaml", "dvc.lock", "params.yaml", ".dvc/config", ".dvc/tmp/rwlock")
FILES += ("accepted.csv", "paper.csv", "published.csv", "slides.csv")
FOLDERS = ("code", "data", "data/stand_in", "data/features", "metrics", "models", "scratch")


def run(main):
    """Call main with the command line, typed by its annotations; a mistake is one line and exit 1.

    A keyword-only parameter is a switch: `main(*, history: bool = False)` takes --history, and
    `main(*, pairs: str = "")` takes --pairs PAIRS. `main(*targets: str)` takes any number of words.
    """
    module = inspect.getmodule(main)
    words, parameters = sys.argv[1:], inspect.signature(main).parameters.values()
    name = module.__spec__.name
    places = [p for p in parameters if p.kind is not p.KEYWORD_ONLY]
    switches = {f"--{p.name}": p for p in parameters if p.kind is p.KEYWORD_ONLY}
    given, chosen = [], {}
    try:
        if "-h" in words or "--help" in words:
            return print(module.__doc__.strip(), flush=True)
        for word in (rest := iter(words)):
            if word not in switches:
                given.append(word)
            elif (switch := switches[word]).annotation is bool:
                chosen[switch.name] = True
            elif (value := next(rest, None)) is None:
                raise ValueError(f"{word}: expected {switch.name.upper()} after it")
            else:
                chosen[switch.name] = _typed(value, switch)
        for word in given:
            if word.startswith("--"):
                raise ValueError(f"{word} is unknown; known: {', '.join([*switches, '--help'])}")
        if places and places[-1].kind is inspect.Parameter.VAR_POSITIONAL:
            places[-1:] = places[-1:] * (len(given) - len(places) + 1)
        if len(given) != len(places):
            wanted = " ".join([*(p.name.upper() for p in places), *(f"[{switch}]" for switch in switches)])
            raise ValueError(f"{len(given)} arguments, expected {len(places)}: {wanted or 'none'}")
        readable()
        main(*(_typed(word, p) for word, p in zip(given, places, strict=True)), **chosen)
        print(end="", flush=True)
    except BrokenPipeError:  # whoever read has seen enough
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        sys.exit(1)
    except Exception as error:
        if os.getenv("TRACEBACK"):
            raise
        foreseen = isinstance(error, (ValueError, OSError, EOFError, SafetensorError))
        _end(name, str(error) if foreseen else _unforeseen(error))
    except KeyboardInterrupt:
        _end(name, "interrupted", 130)


def readable(folder="."):
    """Refuse, in a pipeline's folder, what has no end or none yet: DVC, and a stage, would wait for it."""
    tops = [os.path.normpath(os.path.join(folder, name)) for name in (*FILES, *FOLDERS)]
    walked = [up for top in tops if os.path.basename(top) != "data" for up in os.walk(top)]
    for path in [*tops, *(os.path.join(up, name) for up, _, names in walked for name in names)]:
        with suppress(OSError):  # gone meanwhile, or for somebody else to name
            if stat.S_IFMT(os.stat(path).st_mode) not in (stat.S_IFREG, stat.S_IFDIR):
                raise ValueError(f"{path}: a FIFO, a socket or a device; expected a file or a folder")


def listed(package):
    """Each module of a package that is a command: its name, and how its docstring begins."""
    lines, width = [], shutil.get_terminal_size().columns
    for path in sorted(package.glob("[!_]*.py")):
        usage, _, text = ast.get_docstring(ast.parse(path.read_text())).partition("\n\n")
        command = f"python -m {package.name}.{path.stem}"
        if usage.startswith(command):
            text = usage.removeprefix(f"{command}: ") if usage.startswith(f"{command}:") else text
            sentence = " ".join(re.split(r"[.?](?=\s+[A-Z`])|[:;]\s", text, maxsplit=1)[0].split())
            wrapped = textwrap.wrap(sentence, max(width - NAMES, 40), subsequent_indent=" " * NAMES)
            lines.append(f"{path.stem:<{NAMES}}" + "\n".join(wrapped).rstrip("."))
    return "\n".join([*lines, "", f"python -m {package.name}.NAME --help says more"])


def _end(name, reason, code=1):
    line = " ".join(reason.split())
    print(f"{name}: {line[:LONGEST]}{' ...' if line[LONGEST:] else ''}", file=sys.stderr)
    sys.exit(code)


def _unforeseen(error):
    """Where an unforeseen error happened, for instance after a file of the pipeline was changed by hand."""
    code = Path(__file__).parents[2]
    ours = ("specialists", "stages", "tools")
    places = [
        f"{path}:{frame.lineno}"
        for frame in traceback.extract_tb(error.__traceback__)
        if (path := Path(os.path.relpath(frame.filename, code))).parts[0] in ours
    ]
    files = sys.modules.get("specialists.base.files")  # not imported, for not every stage needs it
    read = "".join(f"the last file read was {path}; " for path in files.RECENT) if files else ""
    return (
        f"{type(error).__name__} at {places[-1]}: {error}; not foreseen: {read}TRACEBACK=1 shows the way "
        "there, dvc status whether an input is damaged"
    )


def output(*command, folder="."):
    """What a command prints; one that fails is an error of one line."""
    done = subprocess.run(command, cwd=folder, capture_output=True, text=True)
    if done.returncode:
        raise ValueError(f"{' '.join(command[:2])}: {done.stderr.strip()[:300]}")
    return done.stdout


def _typed(word, parameter):
    try:
        return parameter.annotation(word)
    except ValueError:
        raise ValueError(
            f"{parameter.name.upper()}: {word!r} is not {parameter.annotation.__name__}"
        ) from None
