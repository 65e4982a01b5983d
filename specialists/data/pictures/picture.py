"""Questions of report and the pictures that they ask about, for people."""

from specialists.data.pictures import listed


def shown(root, data, rows):
    """(text, path of the picture) of each of some rows of the prepared data."""
    asked, pictures = listed.read(root)
    known = {each.id: each for found, _ in asked.values() for each in found}
    questions = [known[int(data.questions["id"][row])] for row in rows]
    return [(question.text, pictures[question.image]) for question in questions]
