"""Proofs that the torture can fail: each protection is taken away, and a fault must then break a promise."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path

from tests.torture import faults
from tests.torture.cluster import IMPATIENT, Plan
from tests.torture.run import Result, running

_SETTLE_SECONDS = 25.0  # with short leases and quick sweeps, what has not ended by then never will


@dataclass(frozen=True)
class Proof:
    """Without `protection`, `fault` must break one of `promises`."""

    protection: str
    fault: str
    promises: frozenset[str]


_ENDS = frozenset({"every accepted job ends", "every accepted job ends in time"})

PROOFS = [
    Proof("fence", "SIGSTOP past the lease, SIGCONT: a zombie", frozenset({"each output carries the winning fence"})),
    Proof("lease", "worker SIGKILL in mid-batch", _ENDS),
    Proof("sweeper", "Redis FLUSHALL with work waiting", _ENDS),
    Proof(
        "commit-before-202",
        "gateway SIGKILL before its commit",
        frozenset({"a 202 means the job is in PostgreSQL"}),
    ),
    Proof("commit-before-publish", "no fault, a backlog of 8 s", frozenset({"what the fault is for"})),
    Proof("acks-late", "pool process SIGKILL before its claim, no sweeper", _ENDS),
    Proof("health-checks", "worker–Redis half-open 6 s", _ENDS),
    Proof("attempt-cap", "a row kills the model's process", _ENDS | {"what the fault is for"}),
]


@dataclass(frozen=True)
class Proven:
    """How a proof came out; `control` is the same run with the protection, where slowness could be taken for loss."""

    proof: Proof
    result: Result
    control: Result | None

    @property
    def broken(self) -> set[str]:
        """The promises that broke without the protection."""
        return {violation.promise for violation in self.result.violations}

    @property
    def holds(self) -> bool:
        """Whether the torture caught what was missing, and only that."""
        with_it = {violation.promise for violation in self.control.violations} if self.control else set()
        return bool(self.broken & self.proof.promises) and not with_it & self.proof.promises

    def line(self) -> str:
        """A row of the report."""
        what = "caught: " + "; ".join(sorted(self.broken)) if self.broken else "NOT caught"
        if self.broken and not self.holds:
            what = f"NOT proven, the run with it looks the same: {'; '.join(sorted(self.broken))}"
        return f"| {self.proof.protection} | {self.proof.fault} | {what} |"


def prove(proof: Proof, directory: Path, seed: int, *, settle_seconds: float = _SETTLE_SECONDS) -> Proven:
    """Run the fault on a cluster that lacks the protection and, where time decides, on one that has it."""
    plan = Plan(directory / proof.protection, settings=dict(IMPATIENT), sabotage=proof.protection)
    result = _run(plan, proof, seed, settle_seconds)
    if not proof.promises & _ENDS:
        return Proven(proof, result, None)
    control = replace(plan, directory=directory / f"{proof.protection}-control", sabotage=None)
    return Proven(proof, result, _run(control, proof, seed, settle_seconds))


def _run(plan: Plan, proof: Proof, seed: int, settle_seconds: float) -> Result:
    with running(plan, seed, settle_seconds=settle_seconds) as run:
        run.inject([faults.ALL[proof.fault]])
        return run.finish()
