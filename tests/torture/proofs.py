"""Proofs that the torture can fail: each protection is taken away, and a fault must then break a promise."""

from __future__ import annotations

from dataclasses import dataclass
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
    is_needed: bool = True  # False: others are known to cover for it, so that nothing need break


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
    # Leases and the sweeper bring back what early acknowledgements lose: see docs/reliability.md.
    Proof("acks-late", "stop the consumer, publish, kill it", _ENDS, is_needed=False),
    Proof("health-checks", "worker–Redis half-open 6 s", _ENDS),
    Proof("attempt-cap", "a row kills the model's process", _ENDS | {"what the fault is for"}),
]


@dataclass(frozen=True)
class Proven:
    """How a proof came out."""

    proof: Proof
    result: Result

    @property
    def broken(self) -> set[str]:
        """The promises that broke."""
        return {violation.promise for violation in self.result.violations}

    @property
    def holds(self) -> bool:
        """Whether the torture caught what was missing."""
        return bool(self.broken & self.proof.promises)

    def line(self) -> str:
        """A row of the report."""
        what = "caught: " + "; ".join(sorted(self.broken)) if self.broken else "NOT caught"
        return f"| {self.proof.protection} | {self.proof.fault} | {what} |"


def prove(proof: Proof, directory: Path, seed: int, *, settle_seconds: float = _SETTLE_SECONDS) -> Proven:
    """Run the fault on a cluster that lacks the protection."""
    plan = Plan(directory / proof.protection, settings=dict(IMPATIENT), sabotage=proof.protection)
    with running(plan, seed, settle_seconds=settle_seconds) as run:
        run.inject([faults.ALL[proof.fault]])
        return Proven(proof, run.finish())
