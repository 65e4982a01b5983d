"""A question of report and the picture that it asks about, for people."""

from specialists.data.clevr import official


def shown(root, data, row):
    """(text, path of the picture) of a row of the prepared data among those of report."""
    questions = official.read(root, "val")
    place = row - int(data.rows("report")[0])
    return questions.text[place], questions.images[questions.image[place]]
