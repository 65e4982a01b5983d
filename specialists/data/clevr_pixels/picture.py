"""A question of report and the picture that it asks about, for people."""

from specialists.data.clevr.picture import shown

__all__ = ["shown"]
