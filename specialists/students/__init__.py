"""Small networks that learn from an ensemble what it says of picture and question, and of each alone."""

MODALITIES = ("image", "question")
