"""What `make mutants` works on is there."""

from __future__ import annotations

import pytest

from tests.mutants.difference import running
from tests.mutants.targets import ROOT, TARGETS, Target


@pytest.mark.parametrize("target", TARGETS, ids=lambda target: target.modules[0])
def test_modules_and_their_tests_exist(target: Target) -> None:
    """Files that were renamed would end the run at its start, or shrink what it samples from without a word."""
    assert all(list(ROOT.glob(pattern)) for pattern in target.modules)
    assert [test for test in target.tests if not (ROOT / test).is_file()] == []


@pytest.mark.parametrize(
    ("as_it_is", "otherwise"),
    [
        ("x is None", "x == None"),
        ("x is not y", "x != y"),
        ("zip(a, b, strict=True)", "zip(a, b, strict=False)"),
        ("a.astype(int, copy=False)", "a.astype(int, copy=True)"),
        ("def f(a, *, b=1): pass", "def f(a, /, b=1): pass"),
        ("def f(a: int) -> int: return a", "def f(a: str) -> None: return a"),
        ("x: int = 1", "x: str = 1"),
    ],
)
def test_what_makes_no_difference_is_no_mistake(as_it_is: str, otherwise: str) -> None:
    """It would count as one that no test has noticed."""
    assert running(as_it_is) == running(otherwise)


@pytest.mark.parametrize(
    ("as_it_is", "otherwise"),
    [
        ("x is None", "x is not None"),
        ("x == 1", "x >= 1"),
        ("zip(a, b, strict=True)", "zip(a, c, strict=True)"),
        ("sorted(a, reverse=True)", "sorted(a, reverse=False)"),
        ("def f(a, *, b=1): pass", "def f(a, *, b=2): pass"),
        ("def f(a): return a", "def f(a): return None"),
        ("x: int = 1", "x: int = 2"),
    ],
)
def test_what_makes_a_difference_is_one(as_it_is: str, otherwise: str) -> None:
    """What is left out of the sample is nothing but that."""
    assert running(as_it_is) != running(otherwise)
