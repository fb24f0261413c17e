"""Proofs that the torture can fail: each protection is taken away, and a fault must then break a promise."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path

from tests.torture import faults
from tests.torture.checking.checker import ONE_JOB
from tests.torture.checking.row_checks import RIGHT, TRACE
from tests.torture.machinery.cluster import IMPATIENT, Plan
from tests.torture.report import verdict
from tests.torture.run import Result, running

_BUSTLE = 0.3  # a proof needs callers, not many of them: several runs share the machine
_SETTLE_SECONDS = 40.0  # with short leases and quick sweeps, what has not ended by then never will


@dataclass(frozen=True)
class Proof:
    """Without `protection`, `fault` must break one of `promises`.

    A protection that stands behind another is needed where that one fails: `mistake` names what is broken in both
    runs, with the protection and without it.
    """

    protection: str
    fault: str
    promises: frozenset[str]
    mistake: tuple[str, ...] = ()
    settle_seconds: float = _SETTLE_SECONDS

    @property
    def has_control(self) -> bool:
        """Whether the same run with the protection must pass: where slowness, or the mistake, could be taken for it."""
        return bool(self.promises & _ENDS or self.mistake)


_ENDS = frozenset({"every accepted job ends", "every accepted job ends in time"})
_CHANGING = "no fault, clients change, go and come back"
_PURPOSE = frozenset({"what the fault is for"})

PROOFS = [
    Proof("fence", "SIGSTOP past the lease, SIGCONT: a zombie", frozenset({"each page is of the claim that won"})),
    Proof("lease", "worker SIGKILL in mid-batch", _ENDS),
    Proof("sweeper", "Redis FLUSHALL with work waiting", _ENDS),
    Proof(
        "commit-before-202",
        "gateway SIGKILL before its commit",
        frozenset({"a 202 means the job is in PostgreSQL"}),
    ),
    Proof("commit-before-publish", "no fault, single calls one by one", _PURPOSE),
    Proof("acks-late", "pool process SIGKILL before its claim, no sweeper", _ENDS),
    Proof("health-checks", "worker–Redis half-open 6 s", _ENDS),
    Proof("attempt-cap", "a row kills the model's process", _ENDS | _PURPOSE),
    Proof("watchdog", "a row makes the model hang (time-out 4 s)", _ENDS | _PURPOSE, settle_seconds=100),
    Proof("job-lock", "the last batches of a job end at once", _ENDS | _PURPOSE),
    Proof(
        "idempotency-keys",
        "gateway SIGKILL after its commit",
        frozenset({"nothing unrequested appears", ONE_JOB}),
    ),
    Proof("bulk-keys", "no fault, calls are repeated under their keys", frozenset({ONE_JOB})),
    Proof(
        "cancel-lock",
        "a cancel meets the end of its batch",
        frozenset({"callers see 202, or 503", "a cancelled row has no answer"}),
    ),
    Proof("session-timeouts", "planner cut off inside its transaction", _ENDS, settle_seconds=60),
    Proof(
        "plan-fence",
        "planner SIGSTOP past the lease, SIGCONT",
        frozenset({"no key is planned twice"}),
        mistake=("planner-deaf",),
    ),
    Proof("plan-mark", "planner SIGKILL in mid-plan", frozenset({"no key is planned twice"})),
    Proof("plan-lock", "a cancel meets a page of its plan", frozenset({"what was cancelled is not scored"})),
    Proof(
        "erasure-hands-out-anew",
        "an erasure meets a batch that is being scored",
        frozenset({"an erased client is nowhere"}),
    ),
    Proof(
        "primary-key-of-answers",
        "SIGSTOP past the lease, SIGCONT: a zombie",
        frozenset({"one page of answers per batch"}),
        mistake=("answered-twice",),
    ),
    Proof("features-read-anew", _CHANGING, frozenset({RIGHT, TRACE})),
    Proof("trace-of-what-was-scored", _CHANGING, frozenset({TRACE})),
    Proof("compiled-form-checked", _CHANGING, frozenset({RIGHT})),
]


@dataclass(frozen=True)
class Proven:
    """How a proof came out; `control` is the same run with the protection, where that is needed to tell."""

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
            what = f"NOT proven: {'; '.join(sorted(self.broken))}; the run with it: {self._control_words()}"
        return f"| {self.proof.protection} | {self.proof.fault} | {what} |"

    def words(self) -> str:
        """The protection, and all that the runs have to say, for a proof that does not hold."""
        runs = [self.result, *([self.control] if self.control else [])]
        missed = [f"not run: {outcome.not_run}" for run in runs for outcome in run.outcomes if outcome.not_run]
        return "\n".join([self.proof.protection, *missed, *map(verdict, runs)])

    def _control_words(self) -> str:
        if self.control is None:
            return "not made"
        return "; ".join(sorted({violation.promise for violation in self.control.violations})) or "nothing broke"


def prove(proof: Proof, directory: Path, seed: int, *, settle_seconds: float | None = None) -> Proven:
    """Run the fault on a cluster that lacks the protection and, where that is needed to tell, on one that has it."""
    sabotage = (*proof.mistake, proof.protection)
    plan = Plan(directory / proof.protection, settings=dict(IMPATIENT), sabotage=sabotage)
    result = _run(plan, proof, seed, settle_seconds or proof.settle_seconds)
    if not proof.has_control:
        return Proven(proof, result, None)
    control = replace(plan, directory=directory / f"{proof.protection}-control", sabotage=proof.mistake)
    return Proven(proof, result, _run(control, proof, seed, settle_seconds or proof.settle_seconds))


def _run(plan: Plan, proof: Proof, seed: int, settle_seconds: float) -> Result:
    with running(plan, seed, settle_seconds=settle_seconds, bustle=_BUSTLE) as run:
        run.inject([faults.ALL[proof.fault]])
        return run.finish()
