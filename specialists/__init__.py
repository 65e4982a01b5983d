"""The mechanisms of multiple choice learning; the stages say what to run and where files lie."""
