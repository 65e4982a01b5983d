"""Questions of report and the pictures that they ask about, for people."""

from specialists.data.clevr import official


def shown(root, data, rows):
    """(text, path of the picture) of each of some rows of the prepared data, among those of report."""
    questions, first = official.read(root, "val"), int(data.rows("report")[0])
    return [(questions.text[row - first], questions.images[questions.image[row - first]]) for row in rows]
