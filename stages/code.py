"""python -m stages.code

Check what params.yaml names before anything trains. List the code that each kind of stage, each network, each
method and each format of data of this pipeline can run. Every other stage depends on one to four of these
lists. A list is a digest, which comments and docstrings do not change.

It runs with every `dvc repro`, in half a second. Where digests stay the same, no stage becomes stale.

reads   params.yaml; stages/**/*.py, specialists/**/*.py, accepted.csv
writes  code/STAGE.txt, code/networks/ROW.txt, code/methods/ROW.txt; of the formats of specialists/data:
        code/data/FORMAT.txt, code/stand_in/FORMAT.txt, code/features/FORMAT.txt, code/picture/FORMAT.txt;
        scratch/code.txt: every list with its files, for people
"""

from pathlib import Path

from specialists.base.command import run
from specialists.base.files import replacing
from specialists.base.params import load, read
from specialists.data.folders import readable
from specialists.tables.checked import checked
from specialists.tables.rows import Table
from specialists.tables.students import Axes
from specialists.tracking import code, pipeline

FOLDER = Path("code")


def main():
    params = checked(load())
    read("table", Axes if "students" in params["table"] else Table)
    for path in named(params):
        readable(path)  # before DVC, which would wait for it
    stages, known = (
        pipeline.resolved(pipeline.stages("dvc.yaml"), params),
        sorted(pipeline.sections() | {"code"}),
    )
    for section in params:
        if section not in known:
            raise ValueError(
                f"params.yaml: {section}: no stage of dvc.yaml reads it; known: {', '.join(known)}"
            )
    root = read("code", str)
    found, old = code.lists(root, params, pipeline.lists(stages)), code.accepted(root, code.here(root))
    texts = code.written(found, old)
    with replacing("scratch/code.txt") as draft:
        draft.write_text(code.page(found, old))
    for path in sorted(FOLDER.rglob("*"), reverse=True):  # what is in a folder comes before the folder
        if path.is_dir() and not path.is_symlink():
            if not any(path.iterdir()):
                path.rmdir()
        elif path.relative_to(FOLDER).as_posix() not in texts:
            path.unlink()
    for name, text in texts.items():
        if not (FOLDER / name).is_file() or (FOLDER / name).read_text() != text:
            with replacing(FOLDER / name) as draft:
                draft.write_text(text)


def named(params):
    """The files and folders of the user that params.yaml names."""
    features = pipeline.section(params, "features")
    files = [features[name] for name in ("weights", "vectors") if name in features]
    return [str(path) for path in (pipeline.section(params, "data.root"), *files) if path]


if __name__ == "__main__":
    run(main)
