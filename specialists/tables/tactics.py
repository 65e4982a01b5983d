"""Networks that train alone by a tactic, ensembles of them, and how much better one row is than another."""

from dataclasses import dataclass

from specialists.tables.slides import HOW, KINDS


@dataclass(frozen=True)
class Singles:
    """The section `singles`: networks that train alone, boxes and budgets of one `network`, and a student
    with and without its `teacher`."""

    seeds: list[int]
    networks: list[str]
    network: str
    boxes: list[int]
    budgets: list[str]
    teacher: str
    student: str

    def tables(self):
        """Title -> rows."""
        return {
            "Networks": self.networks,
            "Boxes": [f"boxes_{each}" for each in self.boxes],
            "Delayed updates": [self.network, *self.budgets],
            "Taught by a teacher that is told the answer": ["untaught", "taught"],
        }

    def rows(self):
        return [*dict.fromkeys(row for rows in self.tables().values() for row in rows)]


def ensembles(sizes):
    """The rows of ensembles; one network has no others to vote with."""
    return [f"{size} {how}" for size in sizes for how in HOW if size > 1 or how == "mean"]


def paired(rivals, alone, voting):
    """Refuse a pair of rows that are not compared: an ensemble has other seeds than a network alone."""
    for pair in rivals:
        if len(pair) != 2 or not ({*pair} <= {*alone} or {*pair} <= {*voting}):
            raise ValueError(f"rivals: {pair} is no pair of {', '.join(alone)}, or of {', '.join(voting)}")
    return rivals


def compared(found, rivals):
    """The table of who is better than whom: points with their 95 % interval, in all and by type of answer.

    Bold is an interval without zero.
    """
    lines = ["**Compared**", "", f"| | over | {' | '.join(KINDS)} |", "|---|---|" + "---|" * len(KINDS)]
    for one, other in rivals:
        words = [one.replace("_", " "), other.replace("_", " ")]
        words += [points(found[one][other][kind]) for kind in KINDS]
        lines.append(f"| {' | '.join(words)} |")
    return "\n".join(lines) + "\n"


def points(each):
    sure = "**" if each["low"] * each["high"] > 0 else ""
    return f"{sure}{each['gain']:+.2f}{sure} ({each['low']:+.2f} to {each['high']:+.2f})"
