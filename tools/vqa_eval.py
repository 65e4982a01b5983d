"""python -m tools.vqa_eval RESULTS QUESTIONS ANNOTATIONS [--pairs FILE]

The accuracy of any results file of VQA v2, as the official evaluator computes it: overall, by type of
answer, by type of question; of complementary pairs, if their file is given, the share with both answers
right in full.

reads   RESULTS, [{"question_id", "answer"}]; QUESTIONS and ANNOTATIONS in the official JSON; FILE
writes  nothing
"""

from specialists.base.command import run
from specialists.data.vqa2 import official, scoring


def main(results: str, questions: str, annotations: str, *, pairs: str = ""):
    asked = {question.id for question in official.questions(questions)}
    answers, annotated = official.results(results, asked), [*official.annotations(annotations)]
    for missing in asked ^ {each.id for each in annotated}:
        path = annotations if missing in asked else questions
        raise ValueError(f"{path}: question {missing} is missing; the other file has it")
    both = official.pairs(pairs, asked) if pairs else ()
    for kind, percent in scoring.table(answers, annotated, both).items():
        print(f"{percent:6.2f}  {kind}")


if __name__ == "__main__":
    run(main)
