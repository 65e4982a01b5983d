"""Networks that train alone by a tactic, and how much better one tactic is than another."""

from dataclasses import dataclass

from specialists.tables.slides import KINDS


@dataclass(frozen=True)
class Singles:
    """The section `singles`: networks that train alone, boxes and budgets of one `network`, a student with
    and without its `teacher`, and who of them is compared with whom."""

    seeds: list[int]
    networks: list[str]
    network: str
    boxes: list[int]
    budgets: list[str]
    teacher: str
    student: str
    rivals: list[list[str]]

    def __post_init__(self):
        rows = [*self.networks, "untaught", "taught"]  # which keep their answers
        for pair in self.rivals:
            if len(pair) != 2 or not {*pair} <= {*rows}:
                raise ValueError(f"rivals: {pair} is no pair of {', '.join(rows)}")


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
