"""Questions of report and the pictures that they ask about, for people."""

from specialists.data.vqa2 import official


def shown(root, data, rows):
    """(text, path of the picture) of each of some rows of the prepared data."""
    split = official.SPLITS[1]
    asked, *_ = official.layout(root, split)
    known = {each.id: each for each in official.questions(asked)}
    questions = [known[int(data.questions["id"][row])] for row in rows]
    return [(question.text, official.picture(root, split, question.image)) for question in questions]
