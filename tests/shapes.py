"""A folder of drawn pictures of one's own, and a CSV of what was asked about them."""

import csv
import random

from PIL import Image, ImageDraw

COLORS = {"red": (220, 20, 20), "green": (20, 200, 40), "blue": (40, 60, 230)}
HEAD = ("image", "question", "answer", "group")


def shapes(folder, pictures=150):
    """Pictures of a disc and a square of two colours, in several folders and formats; rows of questions."""
    rng, rows = random.Random(0), []
    for i in range(pictures):
        image = Image.new("RGB", (64, 48))
        draw, left = ImageDraw.Draw(image), rng.random() < 0.5
        colors = rng.sample([*COLORS], 2)
        for color, draws, side in zip(colors, (draw.ellipse, draw.rectangle), (left, not left), strict=True):
            x, y = 4 + (0 if side else 32) + rng.randrange(8), 4 + rng.randrange(20)
            draws((x, y, x + 18, y + 18), fill=COLORS[color])
        name = f"{i % 3}/shapes-{i:03d}{('.png', '.JPG', '.jpeg')[i % 3]}"
        (folder / "images" / name).parent.mkdir(parents=True, exist_ok=True)
        image.save(folder / "images" / name, quality=95)
        asked = zip(("disc", "square"), colors, strict=True)
        rows += [(name, f"What color is the {shape}?", color, "color") for shape, color in asked]
        rows.append((name, "Is the disc on the left?", "Yes." if left else "no", "place"))
    return rows


def table(path, rows, head=HEAD):
    with open(path, "w", newline="", encoding="utf-8") as file:
        csv.writer(file).writerows([head, *(row[: len(head)] for row in rows)])
