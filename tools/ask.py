"""python -m tools.ask IMAGE QUESTION [--ensemble]

Answer a question about a picture (PNG): the student in int8, or the whole ensemble, member by member.

reads   IMAGE; models/onnx/student-int8.onnx or models/onnx/ensemble.onnx
writes  nothing
"""

from pathlib import Path

from specialists.base.command import run
from specialists.data.folders import readable
from specialists.data.png import MOST_BYTES
from specialists.serving.answering import Onnx, best


def main(image: str, question: str, *, ensemble: bool = False):
    path = Path("models/onnx") / ("ensemble.onnx" if ensemble else "student-int8.onnx")
    if not path.exists():
        raise ValueError(f"{path}: not found in {Path.cwd()}; ./reproduce pipelines/students makes it, there")
    readable(image)
    with open(image, "rb") as file:
        content = file.read(MOST_BYTES + 1)
    model = Onnx(path)
    answers, probability_MC = model.about["answers"], model(content, question)
    for found in best(probability_MC.mean(0), answers):
        print(f"{found['probability']:7.1%}  {found['answer']}")
    if ensemble:
        surest = probability_MC.max(1).argmax()
        for member, probability_C in enumerate(probability_MC):
            (found,) = best(probability_C, answers, 1)
            mark = "  <- the surest, whom we take for the specialist" if member == surest else ""
            print(f"member {member}: {found['probability']:6.1%}  {found['answer']}{mark}")


if __name__ == "__main__":
    run(main)
