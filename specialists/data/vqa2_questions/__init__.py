"""Questions and annotations of VQA v2 alone, for a baseline that does not look."""

GROUP = "type of question"
