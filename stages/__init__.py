"""One file, one kind of stage: `python -m stages.NAME ARGUMENTS`, in a folder that holds params.yaml."""

import inspect
import os
import subprocess
import sys
import traceback
from pathlib import Path

from safetensors import SafetensorError


def run(main):
    """Call main with the command line, typed by its annotations; a mistake is one line and exit 1.

    A keyword-only parameter is a switch: `main(*, history: bool = False)` takes --history.
    """
    module = inspect.getmodule(main)
    words, parameters = sys.argv[1:], inspect.signature(main).parameters.values()
    if "-h" in words or "--help" in words:
        print(module.__doc__.strip())
        return
    name = f"stages.{module.__spec__.name.split('.')[-1]}"
    places = [p for p in parameters if p.kind is not p.KEYWORD_ONLY]
    switches = {f"--{p.name}": p.name for p in parameters if p.kind is p.KEYWORD_ONLY}
    given = [word for word in words if word not in switches]
    try:
        for word in given:
            if word.startswith("--"):
                raise ValueError(f"{word} is unknown; known: {', '.join([*switches, '--help'])}")
        if len(given) != len(places):
            wanted = " ".join([*(p.name.upper() for p in places), *(f"[{switch}]" for switch in switches)])
            raise ValueError(f"{len(given)} arguments, expected {len(places)}: {wanted or 'none'}")
        main(
            *(_typed(word, p) for word, p in zip(given, places, strict=True)),
            **{switches[word]: True for word in words if word in switches},
        )
    except (ValueError, OSError, EOFError, SafetensorError) as error:
        print(f"{name}: {' '.join(str(error).split())}", file=sys.stderr)
        sys.exit(1)
    except Exception as error:
        if os.getenv("TRACEBACK"):
            raise
        print(f"{name}: {_unforeseen(error)}", file=sys.stderr)
        sys.exit(1)


def _unforeseen(error):
    """The line for what nobody thought of: a file of the pipeline changed by hand, or a fault of ours."""
    frames = traceback.extract_tb(error.__traceback__)
    code = Path(__file__).parents[1]
    ours = [frame for frame in frames if Path(frame.filename).is_relative_to(code)][-1]
    place = f"{Path(ours.filename).relative_to(code)}:{ours.lineno}"
    return (
        f"{type(error).__name__} at {place}: {' '.join(str(error).split())}; a size in params.yaml that no "
        "network has, a damaged input (dvc status tells), or a fault of ours (TRACEBACK=1 shows it whole)"
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
