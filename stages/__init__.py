"""One file, one kind of stage: `python -m stages.NAME ARGUMENTS`, in a folder that holds params.yaml."""

import inspect
import sys


def run(main):
    """Call main with the command line, typed by its annotations; a user's mistake is one line and exit 1."""
    module = inspect.getmodule(main)
    words, parameters = sys.argv[1:], inspect.signature(main).parameters
    if "-h" in words or "--help" in words:
        print(module.__doc__.strip())
        return
    name = f"stages.{module.__spec__.name.split('.')[-1]}"
    try:
        if len(words) != len(parameters):
            raise ValueError(
                f"{len(words)} arguments, expected {len(parameters)}: {' '.join(parameters).upper()}"
            )
        main(*(_typed(word, p) for word, p in zip(words, parameters.values(), strict=True)))
    except (ValueError, OSError) as error:
        print(f"{name}: {' '.join(str(error).split())}", file=sys.stderr)
        sys.exit(1)


def _typed(word, parameter):
    try:
        return parameter.annotation(word)
    except ValueError:
        raise ValueError(
            f"{parameter.name.upper()}: {word!r} is not {parameter.annotation.__name__}"
        ) from None
