"""Questions of report and the pictures that they ask about, for people."""

from pathlib import Path

from specialists.data.vqa2 import official

ENDS = "jpg", "png"  # of COCO's pictures, and of the stand-in's


def shown(root, data, rows):
    """(text, path of the picture) of each of some rows of the prepared data."""
    split = official.SPLITS[1]
    asked, *_ = official.layout(root, split)
    known = {each.id: each for each in official.questions(asked)}
    questions = [known[int(data.questions["id"][row])] for row in rows]
    return [(question.text, there(root, split, question.image)) for question in questions]


def there(root, split, image):
    """The picture that is there."""
    paths = [official.picture(root, split, image, end) for end in ENDS]
    return next(filter(Path.exists, paths), paths[0])
