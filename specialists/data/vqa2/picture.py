"""A question of report and the picture that it asks about, for people."""

from specialists.data.vqa2 import official


def shown(root, data, row):
    """(text, path of the picture) of a row of the prepared data."""
    split = official.SPLITS[1]
    asked, *_ = official.layout(root, split)
    identity = int(data.questions["id"][row])
    question = next(each for each in official.questions(asked) if each.id == identity)
    return question.text, official.picture(root, split, question.image)
