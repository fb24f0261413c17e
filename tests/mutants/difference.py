"""Whether a mistake can make a difference to what runs."""

from __future__ import annotations

import ast
from itertools import chain

_SAME = {ast.Is: ast.Eq, ast.IsNot: ast.NotEq}


def running(code: str) -> str:
    """What of a module runs, in a form that is the same where a change makes no difference by itself.

    Left out are annotations, which nothing evaluates, and how a parameter may be given. `is` counts as `==`, for what
    is compared so is one of its kind; a `zip` with `strict` as one without, for that only looks whether lengths agree
    which agree anyway; and an array that is copied as one that is not. Raises SyntaxError.
    """
    return ast.dump(_Plain().visit(ast.parse(code)))


class _Plain(ast.NodeTransformer):
    def visit_arguments(self, node: ast.arguments) -> ast.arguments:
        self.generic_visit(node)
        filled = [*node.posonlyargs, *node.args]
        defaults = [None] * (len(filled) - len(node.defaults)) + list(node.defaults)
        given = dict(chain(zip(filled, defaults, strict=True), zip(node.kwonlyargs, node.kw_defaults, strict=True)))
        node.posonlyargs, node.args, node.defaults = [], [], []
        node.kwonlyargs, node.kw_defaults = list(given), list(given.values())
        return node

    def visit_arg(self, node: ast.arg) -> ast.arg:
        node.annotation = None
        return node

    def visit_FunctionDef(self, node: ast.FunctionDef) -> ast.FunctionDef:
        node.returns = None
        self.generic_visit(node)
        return node

    def visit_AsyncFunctionDef(self, node: ast.AsyncFunctionDef) -> ast.AsyncFunctionDef:
        node.returns = None
        self.generic_visit(node)
        return node

    def visit_AnnAssign(self, node: ast.AnnAssign) -> ast.AnnAssign:
        self.generic_visit(node)
        node.annotation = ast.Constant(None)
        return node

    def visit_Compare(self, node: ast.Compare) -> ast.Compare:
        self.generic_visit(node)
        node.ops = [_SAME.get(type(operator), type(operator))() for operator in node.ops]
        return node

    def visit_Call(self, node: ast.Call) -> ast.Call:
        self.generic_visit(node)
        name = node.func.id if isinstance(node.func, ast.Name) else getattr(node.func, "attr", "")
        idle = {"zip": "strict", "astype": "copy"}.get(name)
        node.keywords = [keyword for keyword in node.keywords if keyword.arg != idle or idle is None]
        return node
