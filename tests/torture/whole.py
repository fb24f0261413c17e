"""The whole torture: each fault alone, faults that need a cluster of their own, random schedules, and the proofs."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path

from tests.torture import faults
from tests.torture.cluster import DEFAULTS, Plan
from tests.torture.disk import NoSmallDisk, small_disk
from tests.torture.faults.base import Fault
from tests.torture.proofs import PROOFS, Proof, Proven, prove
from tests.torture.report import line
from tests.torture.run import Outcome, Result, Run, random_schedule, running

Say = Callable[[str], None]
_PROOF_SECONDS = 90.0  # what one proof takes, about
_PROOFS_AT_ONCE = 2


def alone(run: Run, chosen: list[Fault], deadline: float, say: Say) -> list[str]:
    """Each fault by itself, as long as there is time; gives the names of those not reached."""
    for number, fault in enumerate(chosen):
        if time.monotonic() > deadline:
            return [left.name for left in chosen[number:]]
        say(line(run.inject([fault])))
    return []


def mixed(run: Run, chosen: list[Fault], seed: int, deadline: float, say: Say) -> None:
    """Random faults and pairs of faults, as long as there is time."""
    schedule = random_schedule(chosen, seed)
    while time.monotonic() < deadline:
        say(line(run.inject(next(schedule))))


def apart(plan: Plan, seed: int, say: Say) -> Iterator[Result]:
    """The faults that need a cluster of their own."""
    for number, (name, fault) in enumerate(faults.APART.items()):
        own = replace(plan, directory=plan.directory / f"apart{number}")
        try:
            yield _apart(own, fault, seed)
        except NoSmallDisk as error:
            yield Result([Outcome(name, not_run=str(error))], [], [], 0, 0, 0)
        say(f"{name}: done")


def _apart(plan: Plan, fault: Fault, seed: int) -> Result:
    if "disk" not in fault.name:
        rows = {**plan.settings, "PREDICTQ_BULK_BATCH_ROWS": "10000"}
        return _single(replace(plan, settings=rows), fault, seed)
    with small_disk(400) as disk:
        if fault.name.startswith("PostgreSQL"):
            return _single(replace(plan, postgres_disk=disk), fault, seed)
        return _single(replace(plan, redis_disk=disk), fault, seed)


def _single(plan: Plan, fault: Fault, seed: int) -> Result:
    with running(plan, seed) as run:
        run.inject([fault])
        return run.finish()


def proofs(directory: Path, seed: int, deadline: float, say: Say) -> tuple[list[str], list[str]]:
    """The sabotage matrix as rows of a table, and the protections whose absence went unnoticed or untried."""
    rows, open_questions = [], []
    with ThreadPoolExecutor(_PROOFS_AT_ONCE) as pool:  # they mostly wait
        for proof, proven in zip(PROOFS, pool.map(lambda p: _prove(p, directory, seed, deadline), PROOFS), strict=True):
            if proven is None:
                open_questions.append(f"{proof.protection} (not tried: no time left)")
                continue
            rows.append(proven.line())
            say(rows[-1])
            if not proven.holds:
                open_questions.append(f"{proof.protection} (not noticed)")
    return rows, open_questions


def _prove(proof: Proof, directory: Path, seed: int, deadline: float) -> Proven | None:
    return prove(proof, directory, seed) if time.monotonic() + _PROOF_SECONDS < deadline else None


def default_plan(directory: Path) -> Plan:
    """Everything as it is shipped."""
    return Plan(directory, settings=dict(DEFAULTS))
