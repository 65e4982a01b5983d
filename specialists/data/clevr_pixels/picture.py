"""Questions of report and the pictures that they ask about, for people."""

from specialists.data.clevr.picture import shown

__all__ = ["shown"]
