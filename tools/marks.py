"""Marks in a source that say which ways were taken: `_ran(NAME)` beside code of some rows.

A row that runs is one way. A head (`if`, `for`, `def`, ...) has the way into its block; an `if` has the way
past it too. An expression that may be left out (`a if b else c`, `and`, `or`, a filter, an element of a
comprehension, a lambda) has a way through each of its parts. What can only end in `raise` makes no number
and has no mark, unless some code catches the error and goes on.
"""

import ast
import builtins

HEADS = (ast.If, ast.For, ast.While, ast.With, ast.Try, ast.FunctionDef, ast.ExceptHandler, ast.match_case)
BLOCKS = ("body", "orelse", "finalbody")
GOING_ON = (ast.Return, ast.Break, ast.Continue, ast.Yield, ast.YieldFrom)


class Marks(ast.NodeTransformer):
    """`visit(tree)` puts marks beside what stands on `rows`; `names` are those of all of them.

    `expected` are the errors of our own that some other function catches.
    """

    def __init__(self, file, rows, expected=()):
        self.file, self.rows, self.expected, self.names, self.caught = file, rows, expected, set(), 0

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
        """Whether a block can only end in a `raise` that no code catches."""
        whole = isinstance(node, ast.Module | ast.FunctionDef)
        return fails(statements) and not whole and not any(map(self.awaited, statements))

    def awaited(self, statement):
        """Whether some code may go on after an error that a statement raises."""
        raised = {raises(each) for each in ast.walk(statement) if isinstance(each, ast.Raise)}
        return self.caught or raised & {*self.expected}

    def marked(self, node, statements, block):
        """A block with a mark beside each of its rows, and one at its beginning if its head is new."""
        head = isinstance(node, HEADS) and self.new(node) and (statements or isinstance(node, ast.If))
        found = [ast.Expr(self.mark(node, block))] if head else []
        for each in statements:
            ends = isinstance(each, ast.Raise) and not self.awaited(each)
            if self.new(each) and not ends and not described(each):
                found.append(ast.Expr(self.mark(each, "row")))
            found.append(each)
        first = [each for each in statements[:1] if described(each)]  # a docstring has to come first
        return first + [each for each in found if each not in first]

    def new(self, node):
        heads = [node, *getattr(node, "decorator_list", [])]
        return any(getattr(each, "lineno", None) in self.rows for each in heads)

    def visit_Raise(self, node):
        return self.generic_visit(node) if self.awaited(node) else node

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

    def visit_ListComp(self, node):
        self.generic_visit(node)
        if node.elt.lineno in self.rows:
            node.elt = self.mark(node, "element", node.elt)
        return node

    visit_SetComp = visit_GeneratorExp = visit_ListComp

    def visit_DictComp(self, node):
        self.generic_visit(node)
        if node.value.lineno in self.rows:
            node.value = self.mark(node, "element", node.value)
        return node

    def visit_Lambda(self, node):
        self.generic_visit(node)
        if node.lineno in self.rows:
            node.body = self.mark(node, "lambda", node.body)
        return node


def described(statement):
    return isinstance(statement, ast.Expr) and isinstance(statement.value, ast.Constant)


def raises(node):
    """The name of the error that `raise` raises; None if it raises the current one again."""
    error = node.exc.func if isinstance(node.exc, ast.Call) else node.exc
    return getattr(error, "id", getattr(error, "attr", None))


def expected(trees):
    """The errors of our own after which some code goes on."""
    found = set()
    for node in (each for tree in trees for each in ast.walk(tree)):
        if isinstance(node, ast.ExceptHandler) and node.type and not fails(node.body):
            kinds = node.type.elts if isinstance(node.type, ast.Tuple) else [node.type]
            found |= {getattr(kind, "id", getattr(kind, "attr", None)) for kind in kinds}
    return found - {*dir(builtins)}


def fails(block):
    """Whether a block ends in `raise` and can be left in no other way."""
    inner = {type(each) for node in block for each in ast.walk(node)}
    return bool(block) and isinstance(block[-1], ast.Raise) and not inner & set(GOING_ON)
