"""Bottom-up top-down (Anderson et al., 2018), as the winners of the VQA challenge 2017 describe it.

It is the paper's network for VQA v2.

B batch, K boxes, F channels, L words, H the question's size, D hidden units, C answers
"""

from torch import nn

from specialists.networks.boxes import Question, classifier, last, normal, normal_relu, present, seen


class Network(nn.Module):
    """The question attends to boxes; the product of what is seen and what is asked gives the answer.

    At the published sizes (2048 channels, embedding 300, question and hidden 1024, classifier 2048).
    """

    def __init__(
        self,
        channels,
        words,
        answers,
        *,
        embedding: int,
        question: int,
        hidden: int,
        classifier_hidden: int,
        activation: str,
        dropout: float,
        attention_dropout: float,
    ):
        super().__init__()
        self.question = Question(words, embedding, question)
        self.attend_image, self.attend_question = normal_relu(channels, hidden), normal_relu(question, hidden)
        self.attention_dropout = nn.Dropout(attention_dropout)
        self.attend = normal(hidden, 1)
        self.of_question, self.of_image = normal_relu(question, hidden), normal_relu(channels, hidden)
        self.answer = classifier(hidden, classifier_hidden, answers, activation, dropout)

    def forward(self, image_BKF, box_BK4, tokens_BL, length_B):
        return self.answered(image_BKF, box_BK4, last(self.question(tokens_BL), length_B))

    def answered(self, image_BKF, box_BK4, question_BH):
        both_BKD = self.attend_image(image_BKF) * self.attend_question(question_BH).unsqueeze(1)
        logit_BK = self.attend(self.attention_dropout(both_BKD)).squeeze(2)
        weight_BK = (logit_BK + seen(present(box_BK4))).softmax(1)
        image_BF = (weight_BK.unsqueeze(1) @ image_BKF.to(weight_BK.dtype)).squeeze(1)
        return self.answer(self.of_question(question_BH) * self.of_image(image_BF))
