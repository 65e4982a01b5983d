"""The loss of a student that says something else than its teacher, in the form that `fit` asks for.

I modalities left alone, V views: both modalities, then each alone; M members, B batch, N examples, C answers
"""

import torch

from specialists.base.runtime import DEVICE
from specialists.students.distillation import distill
from specialists.students.modalities import FIXED, TEACHERS, imitation, saliency


class Lesson:
    """The loss of a row of the table; `told` is what stages/teachers.py wrote of the training set."""

    def __init__(self, how, told, senses, data):
        self.how, self.senses, self.data, self.rows = how, senses, data, data.rows("train")
        teach = TEACHERS[how.teacher]
        said = [
            teach(logits_MNC.float(), told["specialist"], data.task).to(DEVICE)
            for logits_MNC in told["logits"]
        ]
        self.both_NC, self.only_INC = said[0], torch.stack(said[1:])
        if how.weights != "meta":
            self.weight_IN = FIXED[how.weights](saliency(self.both_NC, self.only_INC, data.task))
        elif DEVICE.type == "cuda":
            raise ValueError("weights: 'meta' needs a CPU, where an LSTM can be differentiated forwards")

    def loss(self, logits_VBC, target_B, position_B, generator):
        how, both_BC, only_IBC = self.how, self.both_NC[position_B], self.only_INC[:, position_B]
        kd = {"alpha": how.alpha, "temperature": how.temperature}
        base_B = distill(logits_VBC[0], both_BC, target_B, self.data.task, **kd)
        if len(logits_VBC) == 1:
            return base_B, None
        pairs = zip(logits_VBC[1:], only_IBC, strict=True)
        aux_IB = torch.stack([self.imitate(*pair) for pair in pairs])
        return base_B + (self.weigh(base_B, aux_IB, position_B, generator) * aux_IB).sum(0), None

    def imitate(self, logits_BC, teacher_BC):
        how, task = self.how, self.data.task
        return how.strength * imitation(
            logits_BC, teacher_BC, task, temperature=how.temperature, form=how.form
        )

    def weigh(self, base_B, aux_IB, position_B, generator):
        """w_IB; learned ones learn from other examples of the training set, drawn with `generator`."""
        if self.how.weights != "meta":
            return self.weight_IN[:, position_B]
        rows, only_IBC = self.rows, self.only_INC[:, position_B]
        clean_B = torch.randint(len(rows), position_B.shape, generator=generator, device=DEVICE).cpu()
        seen, clean = self.data.batch(rows[position_B])[0], self.data.batch(rows[clean_B])
        return self.senses.weigh(base_B, aux_IB, seen, only_IBC, self.imitate, clean, self.data.task)
