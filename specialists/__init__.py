"""Mechanisms of multiple choice learning with knowledge distillation; the stages decide what to run and where files lie."""
