"""Marks in a source that say which ways were gone: `_ran(NAME)` beside code of some rows.

A row that runs is one way. A head (`if`, `for`, `def`, ...) has the way into its block, an `if` the way
past it too, an expression that may be left out (`a if b else c`, `and`, `or`, a filter, a lambda) each of
its parts. What can only end in `raise` makes no number and has no mark.
"""

import ast

HEADS = (ast.If, ast.For, ast.While, ast.With, ast.Try, ast.FunctionDef, ast.ExceptHandler, ast.match_case)
BLOCKS = ("body", "orelse", "finalbody")
GOING_ON = (ast.Return, ast.Break, ast.Continue, ast.Yield, ast.YieldFrom)


class Marks(ast.NodeTransformer):
    """`visit(tree)` puts marks beside what stands on `rows`; `names` are those of all of them."""

    def __init__(self, file, rows):
        self.file, self.rows, self.names, self.caught = file, rows, set(), 0

    def mark(self, node, way, *value):
        name = f"{self.file}:{node.lineno}:{node.col_offset} {way}"
        self.names.add(name)
        return ast.Call(ast.Name("_ran", ast.Load()), [ast.Constant(name), *value], [])

    def generic_visit(self, node):
        caught = isinstance(node, ast.Try) and not all(fails(each.body) for each in node.handlers)
        self.caught += caught
        blocks = {name: getattr(node, name) for name in BLOCKS if isinstance(getattr(node, name, None), list)}
        spared = {name: each for name, each in blocks.items() if self.spared(node, each)}
        vars(node).update(dict.fromkeys(spared, []))
        super().generic_visit(node)
        marked = {name: self.marked(node, getattr(node, name), name) for name in blocks.keys() - spared}
        vars(node).update(marked | spared)
        self.caught -= caught
        return node

    def spared(self, node, statements):
        """Whether a block can only end in `raise`, which nobody catches."""
        return fails(statements) and not isinstance(node, ast.Module | ast.FunctionDef) and not self.caught

    def marked(self, node, statements, block):
        """A block with a mark beside each of its rows, and one at its beginning if its head is new."""
        head = isinstance(node, HEADS) and self.new(node) and (statements or isinstance(node, ast.If))
        found = [ast.Expr(self.mark(node, block))] if head else []
        for each in statements:
            raises = isinstance(each, ast.Raise) and not self.caught
            if self.new(each) and not raises and not described(each):
                found.append(ast.Expr(self.mark(each, "row")))
            found.append(each)
        first = [each for each in statements[:1] if described(each)]  # before it no docstring is one
        return first + [each for each in found if each not in first]

    def new(self, node):
        heads = [node, *getattr(node, "decorator_list", [])]
        return any(getattr(each, "lineno", None) in self.rows for each in heads)

    def visit_Raise(self, node):
        return self.generic_visit(node) if self.caught else node

    def visit_Assert(self, node):
        node.test = self.visit(node.test)
        return node

    def visit_IfExp(self, node):
        self.generic_visit(node)
        if node.lineno in self.rows:
            node.body, node.orelse = self.mark(node, "if", node.body), self.mark(node, "else", node.orelse)
        return node

    def visit_BoolOp(self, node):
        self.generic_visit(node)
        if node.lineno in self.rows:
            node.values[1:] = [
                self.mark(node, f"part {i}", each) for i, each in enumerate(node.values[1:], 2)
            ]
        return node

    def visit_comprehension(self, node):
        self.generic_visit(node)
        for i, test in enumerate(node.ifs):
            if test.lineno in self.rows:
                ways = (self.mark(test, f"filter {i} {way}", ast.Constant(way)) for way in (True, False))
                node.ifs[i] = ast.IfExp(test, *ways)
        return node

    def visit_Lambda(self, node):
        self.generic_visit(node)
        if node.lineno in self.rows:
            node.body = self.mark(node, "lambda", node.body)
        return node


def described(statement):
    return isinstance(statement, ast.Expr) and isinstance(statement.value, ast.Constant)


def fails(block):
    """Whether a block ends in `raise` and can be left in no other way."""
    inner = {type(each) for node in block for each in ast.walk(node)}
    return bool(block) and isinstance(block[-1], ast.Raise) and not inner & set(GOING_ON)
