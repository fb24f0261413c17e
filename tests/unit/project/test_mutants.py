"""What `make mutants` works on is there."""

from __future__ import annotations

import pytest

from tests.mutants.targets import ROOT, TARGETS, Target


@pytest.mark.parametrize("target", TARGETS, ids=lambda target: target.modules[0])
def test_modules_and_their_tests_exist(target: Target) -> None:
    """Files that were renamed would end the run at its start, or shrink what it samples from without a word."""
    assert all(list(ROOT.glob(pattern)) for pattern in target.modules)
    assert [test for test in target.tests if not (ROOT / test).is_file()] == []
