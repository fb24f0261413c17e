"""The quick torture: a real cluster, a few faults, and two proofs that the run would notice."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.torture import faults
from tests.torture.machinery.cluster import IMPATIENT, Plan
from tests.torture.report import table, verdict
from tests.torture.run import running
from tests.torture.sabotage.proofs import PROOFS, prove

pytestmark = pytest.mark.torture

_SEED = 20

_QUICK = [
    "pool process SIGKILL in mid-batch",
    "SIGTERM in mid-batch (deploy)",
    "gateway SIGKILL after its commit",
    "Redis FLUSHALL with work waiting",
    "PostgreSQL immediate restart",
    "accept committed, its reply lost",
    "planner SIGKILL in mid-plan",
    "the last batches of a job end at once",
]


def test_every_promise_survives_each_fault(tmp_path: Path) -> None:
    """Each row gets exactly one committed answer or one stated error, whichever process, Redis or connection dies."""
    with running(Plan(tmp_path, settings=dict(IMPATIENT)), _SEED, bustle=0.5) as run:
        for name in _QUICK:
            run.inject([faults.ALL[name]])
        result = run.finish()
    assert not result.violations, f"{verdict(result)}\n{table(result)}"
    assert not [outcome for outcome in result.outcomes if outcome.not_run]
    assert result.moments > 10


@pytest.mark.parametrize("protection", ["fence", "commit-before-202"])
def test_torture_notices_a_missing_protection(protection: str, tmp_path: Path) -> None:
    """A run without the protection breaks the promise that it protects: the torture can fail."""
    proof = next(proof for proof in PROOFS if proof.protection == protection)
    proven = prove(proof, tmp_path, _SEED, settle_seconds=8)
    assert proven.holds, proven.line()
