"""Two kinds of mistake that Cosmic Ray does not make: a call left out, and a value that is not returned."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import parso
from cosmic_ray.operators.operator import Operator

Position = tuple[tuple[int, int], tuple[int, int]]
_HARMLESS = ("log.", "metrics.")  # without these, nobody gets a wrong answer


class LeaveOutCall(Operator):
    """A statement that is nothing but a call becomes `pass`."""

    def mutation_positions(self, node: Any) -> Iterator[Position]:
        """Where such a statement stands."""
        if node.type == "simple_stmt":
            call = node.children[0]
            if call.type == "atom_expr" and call.children[-1].type == "trailer":
                text = call.get_code(include_prefix=False)
                if text.endswith(")") and not text.startswith(_HARMLESS):
                    yield call.start_pos, call.end_pos

    def mutate(self, node: Any, index: int) -> Any:
        """The statement with `pass` for the call."""
        node.children[0] = _parsed("pass", node.children[0].get_first_leaf().prefix)
        return node

    @classmethod
    def examples(cls) -> tuple[Any, ...]:
        """None."""
        return ()


class ReturnNone(Operator):
    """`return x` becomes `return None`."""

    def mutation_positions(self, node: Any) -> Iterator[Position]:
        """Where something is returned."""
        if node.type == "return_stmt" and node.children[1].get_code().strip() != "None":
            yield node.children[1].start_pos, node.children[1].end_pos

    def mutate(self, node: Any, index: int) -> Any:
        """The statement with `None` for the value."""
        node.children[1] = _parsed("None", " ")
        return node

    @classmethod
    def examples(cls) -> tuple[Any, ...]:
        """None."""
        return ()


def _parsed(word: str, prefix: str) -> Any:
    leaf = parso.parse(word).get_first_leaf()
    leaf.prefix = prefix
    return leaf
