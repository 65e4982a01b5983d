"""A question of report and the picture that it asks about, for people."""

from specialists.data.pictures import listed


def shown(root, data, row):
    """(text, path of the picture) of a row of the prepared data."""
    asked, pictures = listed.read(root)
    identity = int(data.questions["id"][row])
    question = next(each for found, _ in asked.values() for each in found if each.id == identity)
    return question.text, pictures[question.image]
