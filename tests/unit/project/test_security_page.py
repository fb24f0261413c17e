"""docs/security.md claims nothing without a test, and names no test that does not exist."""

from __future__ import annotations

import ast
import re
from pathlib import Path

import pytest

from tests.support import ROOT

PAGE = (ROOT / "docs" / "security.md").read_text(encoding="utf-8")
_TEST = re.compile(r"\b[\w/]+/test_\w+\.py::\w+")
_THREAT = re.compile(r"^\| ([A-Z]\d+) \| (.+?) \| (.+?) \| (.+) \|$", re.MULTILINE)


def functions_in(path: Path) -> set[str]:
    """The names of the tests in a file."""
    tree = ast.parse(path.read_text(encoding="utf-8"))
    functions = (node for node in ast.walk(tree) if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef))
    return {function.name for function in functions if function.name.startswith("test_")}


def test_every_test_that_the_page_names_exists() -> None:
    """Whoever reads of a proof can run it."""
    named = [name.split("::") for name in _TEST.findall(PAGE)]
    assert len(named) > 40
    files = {name: ROOT / "tests" / name for name, _ in named}
    assert [name for name, path in files.items() if not path.is_file()] == []
    there = {name: functions_in(path) for name, path in files.items()}
    assert [f"{name}::{test}" for name, test in named if test not in there[name]] == []


def test_every_threat_has_a_proof_or_says_that_it_has_none() -> None:
    """The last column holds tests, or the word `open`, and nothing else."""
    threats = _THREAT.findall(PAGE)
    assert len(threats) > 40
    for threat, _, _, proof in threats:
        assert proof == "open" or all(_TEST.fullmatch(word) for word in proof.split()), threat


@pytest.mark.parametrize("section", ["OWASP API Security Top 10, 2023", "OWASP ASVS 5.0, level 2"])
def test_what_the_lists_point_to_is_there(section: str) -> None:
    """A row of OWASP's lists leads to threats of the page."""
    threats = {threat for threat, *_ in _THREAT.findall(PAGE)}
    text = PAGE.partition(f"## {section}")[2].partition("\n## ")[0]
    rows = [row.split(" | ", 2) for row in text.splitlines() if re.match(r"\| (API\d|V\d)", row)]
    assert len(rows) in (10, 17)
    named = {name for row in rows for name in re.findall(r"\b[WCRDMABS]\d{1,2}\b", row[-1])}
    assert named - threats == set()
