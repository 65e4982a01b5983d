"""What the question alone gives away: a network that does not look.

B batch, L words, H the question's size
"""

from torch import nn

from specialists.networks.boxes import Question, classifier, last


class Network(nn.Module):
    """The baseline of Table 2 in Goyal et al. (2017), with the question and the classifier of butd.py."""

    def __init__(
        self,
        seen,
        words,
        answers,
        *,
        embedding: int,
        question: int,
        classifier_hidden: int,
        activation: str,
        dropout: float,
    ):
        super().__init__()
        self.question = Question(words, embedding, question)
        self.answer = classifier(question, classifier_hidden, answers, activation, dropout)

    def forward(self, *given):
        """Takes what other networks take, and reads only the question, which stands last."""
        *_, tokens_BL, length_B = given
        return self.answer(last(self.question(tokens_BL), length_B))
