"""CLEVR v1.0 as its pictures are, for networks that learn to see and to answer at once."""

GROUP = "question family"
