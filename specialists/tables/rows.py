"""The axes of a table, its rows and cells, and the one name of each: stage, weights, metrics, MLflow run."""

from dataclasses import dataclass

MAY_BE_EMPTY = ("pictured", "generalists_again", "methods_again")


@dataclass(frozen=True)
class Table:
    """`table` of params.yaml; `pictured` are the networks for which one question is drawn, perhaps none.

    Of the generalists and methods that stand in `..._again`, perhaps none, a second generation is trained.
    """

    networks: list[str]
    members: list[int]
    generalists: list[str]
    methods: list[str]
    ks: list[int]
    seeds: list[int]
    pictured: list[str]
    generalists_again: list[str] = ()
    methods_again: list[str] = ()

    def __post_init__(self):
        for axis, values in vars(self).items():
            if not values and axis not in MAY_BE_EMPTY:
                raise ValueError(f"{axis}: is empty; name at least one")
            if twice := {value for value in values if values.count(value) > 1}:
                raise ValueError(f"{axis}: {', '.join(map(str, sorted(twice)))} stands twice")
        for k in self.ks:
            if not 1 <= k <= len(self.members):
                raise ValueError(f"ks: {k} is out of range: 1 to {len(self.members)}, the number of members")
        for network in self.pictured:
            if network not in self.networks:
                raise ValueError(f"pictured: {network!r} is not in networks; known: {listed(self.networks)}")

    def rows(self):
        """(network, method, k) of every row, in the table's order; k is None where nobody is left out."""
        for network in self.networks:
            yield from ((network, method, None) for method in self.generalists)
            yield from ((network, method, k) for k in self.ks for method in self.methods)
            yield from ((network, again(method), None) for method in self.generalists_again)
            yield from ((network, again(method), k) for k in self.ks for method in self.methods_again)
            yield network, "student", None

    @property
    def controls(self):
        """The rows that leave nobody out."""
        return [*self.generalists, *map(again, self.generalists_again)]

    def cells(self):
        """The name of every cell."""
        return [cell(*row, seed) for row in self.rows() for seed in self.seeds]


def again(method):
    """The row of `methods` whose members start from, and are taught by, those of a method."""
    return f"{method}_again"


def name(network, method, k):
    """The one name of a row."""
    return "-".join([network, method] if k is None else [network, method, f"k{k}"])


def cell(network, method, k, seed):
    """The one name of a cell."""
    return f"{name(network, method, k)}-s{seed}"


def listed(values):
    return ", ".join(map(str, values))
