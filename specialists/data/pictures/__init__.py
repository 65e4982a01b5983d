"""Pictures of one's own, and what was asked about them."""

GROUP = "kind of question"
