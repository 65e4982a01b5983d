"""CLEVR v1.0 (Johnson et al. 2017): questions about rendered scenes."""

GROUP = "question family"
