"""Where two texts of a source differ, comments and docstrings apart, and which of that never ran."""

import ast
import io
import tokenize
from difflib import SequenceMatcher

DOCUMENTED = (ast.Module, ast.ClassDef, ast.FunctionDef, ast.AsyncFunctionDef)
LEAVING = (ast.Return, ast.Break, ast.Continue, ast.Yield, ast.YieldFrom)


def unrun(source, other, ran):
    """The first row of a source that the other text has not and that is not among those that ran, or None.

    Where the head of a block is new, something in the block must have run too.
    """
    tree, rows = ast.parse(source), told(source)
    mine, theirs = ([text for _, text in each] for each in (rows, told(other)))
    matcher = SequenceMatcher(None, mine, theirs, autojunk=False)
    blocks = [rows[start:end] for tag, start, end, *_ in matcher.get_opcodes() if tag != "equal"]
    free, held = failing(tree), coded(compile(source, "source", "exec"))
    changed = {row for block in blocks for row, _ in block} - free
    missing = {row for row in changed if not ran & ({row} if row in held else statement(tree, row))}
    for node in ast.walk(tree):
        if isinstance(getattr(node, "body", None), list) and hasattr(node, "lineno"):
            inside = extent(node.body[0], node.body[-1])
            first = min([node.lineno, *(each.lineno for each in getattr(node, "decorator_list", []))])
            if changed & set(range(first, min(inside))) and not ran & inside and not inside <= free:
                missing.add(first)
    return min(missing, default=None)


def told(source):
    """(row, text) of every row that is left without comments, docstrings and blank rows."""
    lines = source.split("\n")
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, DOCUMENTED) and ast.get_docstring(node, clean=False) is not None:
            for row in extent(node.body[0]):
                lines[row - 1] = ""
    for token in tokenize.generate_tokens(io.StringIO(source).readline):
        if token.type == tokenize.COMMENT:
            row, column = token.start
            lines[row - 1] = lines[row - 1][:column]
    return [(row, line.rstrip()) for row, line in enumerate(lines, 1) if line.strip()]


def coded(code):
    """The rows that have code of their own; brackets, `else` and parts of a constant have none."""
    inner = [each for each in code.co_consts if hasattr(each, "co_lines")]
    return {row for *_, row in code.co_lines() if row}.union(*map(coded, inner))


def statement(tree, row):
    """The rows of the innermost statement around one."""
    around = [node for node in ast.walk(tree) if isinstance(node, ast.stmt) and row in extent(node)]
    return extent(max(around, key=lambda node: node.lineno))


def failing(tree):
    """The rows that run where a run fails, which makes no number: blocks that end in `raise`, messages."""
    rows = set()
    for node in ast.walk(tree):
        if isinstance(node, ast.If):
            for block in filter(fails, (node.body, node.orelse)):
                rows |= extent(block[0], block[-1]) - extent(node.test)
        elif isinstance(node, ast.ExceptHandler) and fails(node.body):
            rows |= extent(node)
        elif isinstance(node, ast.Assert) and node.msg:
            rows |= extent(node.msg) - extent(node.test)
    return rows


def fails(block):
    """Whether a block ends in `raise` and can be left in no other way."""
    inner = {type(each) for node in block for each in ast.walk(node)}
    return bool(block) and isinstance(block[-1], ast.Raise) and not inner & set(LEAVING)


def extent(first, last=None):
    return set(range(first.lineno, (last or first).end_lineno + 1))


def numbers(source):
    """The numbers of a source, as often as they stand in it, but for those that any scale comes by."""
    values = [node.value for node in ast.walk(ast.parse(source)) if isinstance(node, ast.Constant)]
    return [value for value in values if type(value) in (int, float) and value not in (0, 1, 2)]
