"""What a module imports, read from its text: no line of it runs."""

from __future__ import annotations

import ast
from collections.abc import Iterator


def imported(text: str) -> Iterator[str]:
    """The top modules that it cannot do without; those that it only tries to import are left out.

    A text that is no Python imports nothing.
    """
    try:
        waiting: list[ast.AST] = [ast.parse(text)]
    except (SyntaxError, ValueError, RecursionError, MemoryError):
        return
    while waiting:
        node = waiting.pop()
        if isinstance(node, ast.Import):
            yield from (alias.name.partition(".")[0] for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module and not node.level:
            yield node.module.partition(".")[0]
        elif isinstance(node, ast.Try) and node.handlers:
            waiting += [*node.orelse, *node.finalbody]
        else:
            waiting += ast.iter_child_nodes(node)
