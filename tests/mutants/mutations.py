"""The mutants of a module: Cosmic Ray's and ours, a seeded sample of those that can make a difference."""

from __future__ import annotations

import ast
import hashlib
import random
import re
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from cosmic_ray.ast import ast_nodes, get_ast
from cosmic_ray.mutating import mutate_code
from cosmic_ray.operators.operator import Operator
from cosmic_ray.plugins import get_operator, operator_names

from tests.mutants.difference import running
from tests.mutants.operators import LeaveOutCall, ReturnNone

_SQL = re.compile(r"\b(SELECT|INSERT|UPDATE|DELETE|FROM|WHERE|JOIN|COPY|SET LOCAL|VALUES|RETURNING|ORDER BY)\b")


@dataclass(frozen=True)
class Place:
    """Where a module can be mutated, and in which way: `choices` are mistakes of one family in the same place."""

    path: Path
    family: str
    line: int
    column: int
    name: str  # of the place among all, the same as long as its line stands in its module, wherever that is
    choices: tuple[tuple[type[Operator], int], ...]  # an operator and which of its occurrences


@dataclass(frozen=True)
class Mutant:
    """A module with one mistake in it."""

    path: Path
    line: int
    before: str  # the line as it is
    after: str  # the line with the mistake
    code: str

    @property
    def id(self) -> str:
        """The same as long as the module is the same."""
        return hashlib.sha256(f"{self.path}\n{self.code}".encode()).hexdigest()[:16]


def sample(paths: Sequence[Path], seed: int, only: Sequence[str] = ("",)) -> Iterator[Mutant]:
    """Mutants of these modules in an order that follows from the seed; at most one in each place.

    Only of modules whose path contains one of `only`: these come in the same order as in the sample of all. A place has
    its number by itself, so that a change of one module leaves the sample of the others as it is.
    """
    places = [place for path in sorted(paths) for place in _places(path)]
    for place in sorted(places, key=lambda place: _number(seed, place.name)):
        if not any(words in str(place.path) for words in only):
            continue
        choices = list(place.choices)
        random.Random(_number(seed, place.name)).shuffle(choices)
        mutant = next((made for choice in choices if (made := _make(place, *choice)) is not None), None)
        if mutant is not None:
            yield mutant


def _places(path: Path) -> list[Place]:
    code = path.read_text(encoding="utf-8")
    tree, lines = get_ast(code), [line.strip() for line in code.splitlines()]
    found: dict[tuple[str, int, int], list[tuple[type[Operator], int]]] = {}
    for name, operator in _operators():
        occurrences = (position for node in ast_nodes(tree) for position in operator().mutation_positions(node))
        for occurrence, ((line, column), _) in enumerate(occurrences):
            family = name.partition("/")[2].partition("_")[0]
            found.setdefault((family, line, column), []).append((operator, occurrence))
    places, names = [], Counter[str]()
    for where, choices in sorted(found.items()):
        family, line, column = where
        name = f"{path} {family} {lines[line - 1]}"
        names[name] += 1
        places.append(Place(path, family, line, column, f"{name} {names[name]}", tuple(choices)))
    return places


def _number(seed: int, name: str) -> str:
    return hashlib.sha256(f"{seed} {name}".encode()).hexdigest()


def _operators() -> Iterator[tuple[str, type[Operator]]]:
    for name in operator_names():
        operator = get_operator(name)
        if not operator.arguments() and not name.endswith("/NoOp"):
            yield name, operator
    yield "own/LeaveOutCall", LeaveOutCall
    yield "own/ReturnNone", ReturnNone


def _make(place: Place, operator: type[Operator], occurrence: int) -> Mutant | None:
    """None for what makes no difference to what runs, or is no Python, or lies inside the text of a statement."""
    code = place.path.read_text(encoding="utf-8")
    mutated = mutate_code(code, operator(), occurrence)
    if mutated is None:
        return None
    try:
        if running(mutated) == running(code):
            return None
        compile(mutated, str(place.path), "exec")
    except SyntaxError:
        return None
    before, after = code.splitlines(), mutated.splitlines()
    if _in_sql(code, place.line):
        return None
    if before[place.line - 1].lstrip().startswith("@dataclass(") and "Replace" in place.family:
        return None  # whether a class is frozen, or has slots
    line = next((n for n, (old, new) in enumerate(zip(before, after, strict=False)) if old != new), len(after) - 1)
    return Mutant(place.path, line + 1, before[line].strip(), after[line].strip(), mutated)


def _in_sql(code: str, line: int) -> bool:
    """Whether the line is part of a text that is made at run time and is SQL."""
    for node in ast.walk(ast.parse(code)):
        if isinstance(node, ast.JoinedStr) and node.lineno <= line <= (node.end_lineno or 0):
            texts = [part.value for part in node.values if isinstance(part, ast.Constant)]
            if any(_SQL.search(str(text)) for text in texts):
                return True
    return False
