"""What members say: what a right answer is, who learns which, many answers as one, and how good they are."""
