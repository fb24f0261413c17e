"""No column of an example is known to product code: what is served is anybody's table."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from importlib import import_module
from pathlib import Path

import pytest

from cli.example import example_names
from tests.support import ROOT

PRODUCT = ("api", "web", "worker", "shared", "model", "cli", "devstack", "sql")
SUFFIXES = {".py", ".sql", ".html", ".js", ".json", ".mako"}

# Files that still know the sample: their readers take its columns from a list, and not from a source. A file that is
# mended must leave this list, which gets shorter only.
NOT_YET = frozenset[str]()


def example_words() -> frozenset[str]:
    """The names of the examples' own lists; each example has `WORDS` beside its columns."""
    words: set[str] = set()
    for name in example_names():
        package = Path(import_module(f"examples.{name}").__path__[0])
        (module,) = [path.stem for path in package.glob("*.py") if "\nWORDS: " in path.read_text(encoding="utf-8")]
        words |= vars(import_module(f"examples.{name}.{module}"))["WORDS"]
    return frozenset(words)


def compound_pattern(words: frozenset[str]) -> re.Pattern[str]:
    """`monthly_income`, `Monthly Income` and `MonthlyIncome`: nobody writes that by chance, so it counts anywhere."""
    compound = sorted(word.replace("_", "[_ ]?") for word in words if "_" in word)
    return re.compile(rf"(?<![A-Za-z0-9])({'|'.join(compound)})(?![A-Za-z0-9])", re.IGNORECASE)


def plain_pattern(words: frozenset[str]) -> re.Pattern[str]:
    """`age` is an English word, and a column only where it is quoted or has a value: `"age"`, `age=30`, `age>=30`."""
    plain = "|".join(sorted(word for word in words if "_" not in word))
    return re.compile(rf"""(?<![\w])(?:['"`](?:{plain})['"`]|(?:{plain})\s?(?:=|>=|<=)\s?[\w'"])""")


def offences(path: Path, words: frozenset[str]) -> Iterator[str]:
    """Lines of a file that know a column."""
    text = path.read_text(encoding="utf-8")
    lines = text.splitlines()
    for number, line in enumerate(lines, 1):
        for found in compound_pattern(words).finditer(line):
            yield f"{number}: {found.group()}"
    for number, literal in _literals(path, text):
        plain = {word for word in words if "_" not in word}
        if literal in plain:
            yield f"{number}: {literal!r}"
        for found in plain_pattern(words).finditer(literal):
            yield f"{number}: {found.group()}"


def _literals(path: Path, text: str) -> Iterator[tuple[int, str]]:
    """Strings of Python code, docstrings too; of other files every line."""
    if path.suffix != ".py":
        yield from enumerate(text.splitlines(), 1)
        return
    for node in ast.walk(ast.parse(text)):
        if isinstance(node, ast.Constant) and isinstance(node.value, str):
            yield node.lineno, node.value


def product_files() -> list[Path]:
    """Every file of product code that can hold words."""
    return sorted(path for room in PRODUCT for path in (ROOT / room).rglob("*") if path.suffix in SUFFIXES)


def test_no_product_code_knows_a_column_of_an_example() -> None:
    """Each offence is listed with its file and line; a file that is clean is on no list of exceptions."""
    words = example_words()
    assert {"monthly_income", "policy_no", "age", "region"} <= words
    found = {str(path.relative_to(ROOT)): list(offences(path, words)) for path in product_files()}
    offending = {name: lines for name, lines in found.items() if lines}
    listed = "\n".join(f"{name}:{line}" for name, lines in offending.items() if name not in NOT_YET for line in lines)
    assert not listed, f"product code knows columns of an example:\n{listed}"
    assert offending.keys() >= NOT_YET, f"clean now, take off NOT_YET: {sorted(NOT_YET - offending.keys())}"


@pytest.mark.parametrize(
    ("name", "text", "count"),
    [
        ("a.py", 'x = row["age"]\n', 1),
        ("a.py", 'HELP = "such as age=30"\n', 1),
        ("a.py", "# of MonthlyIncome and policy_no\n", 2),
        ("a.sql", "SELECT c.monthly_income FROM c WHERE gender = 'Male'\n", 2),
        ("a.py", '"""The age of a batch."""\nage = 5\nmessage = f"the age is {age}"\n', 0),
        ("a.sql", "SELECT age(now(), created_at) FROM jobs -- its age\n", 0),
    ],
)
def test_the_search_finds_columns_and_lets_english_be(tmp_path: Path, name: str, text: str, count: int) -> None:
    """A column is found in code, comments and SQL; a common word in a sentence or as a variable is none."""
    path = tmp_path / name
    path.write_text(text)
    assert len(set(offences(path, example_words()))) == count
