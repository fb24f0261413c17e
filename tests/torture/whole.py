"""The whole torture: each fault alone, faults that need a cluster of their own, a backlog, the proofs, and a mixture.

All of it mostly waits, for leases, time-outs and processes: so several clusters are tortured at the same time.
"""

from __future__ import annotations

import tempfile
import time
import traceback
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from functools import partial
from pathlib import Path

from tests.torture import faults
from tests.torture.checking.findings import Findings
from tests.torture.faults.backlog import backlog
from tests.torture.faults.base import Fault
from tests.torture.machinery.cluster import DEFAULTS, Plan
from tests.torture.machinery.disk import NoSmallDisk, small_disk
from tests.torture.machinery.stopping import pause
from tests.torture.run import Outcome, Result, random_schedule, running
from tests.torture.sabotage.proofs import PROOFS, Proof, prove

_AT_ONCE = 2  # clusters: more of them would only measure how busy the machine is
_PROOFS_AT_ONCE = 2  # these wait the most: for what never comes
_BACKLOG_SECONDS = 60.0
_LEAST_SECONDS = 75.0  # what a work of its own takes, about: it is not begun when less is left
_WIND_UP_SECONDS = 60.0  # for the last faults of a mixture to end

Work = Callable[[Plan], None]


def everything(plan: Plan, seed: int, end: float, found: Findings) -> None:
    """All that there is, until `end` by the monotonic clock, about."""
    chosen = list(faults.ALL.values())
    works: dict[str, Work] = {
        f"{which} half of the faults, each alone": partial(alone, chosen[half::2], seed, end, found)
        for half, which in enumerate(("one", "the other"))
    }
    works["a backlog"] = partial(backlogged, _BACKLOG_SECONDS, seed, found)
    works |= {name: partial(_apart, fault, seed, found) for name, fault in faults.APART.items()}
    _at_once(_AT_ONCE, works, plan, end, found)
    proofs(plan, seed, end, found)
    _at_once(1, {"a mixture": partial(mixture, chosen, seed, end, found)}, plan, end, found)


def proofs(plan: Plan, seed: int, end: float, found: Findings, only: str = "") -> None:
    """The proofs that the torture can fail, or those of protections whose name contains `only`."""
    chosen = [proof for proof in PROOFS if any(word in proof.protection for word in only.lower().split(","))]
    works: dict[str, Work] = {f"without {proof.protection}": partial(_prove, proof, seed, found) for proof in chosen}
    _at_once(_PROOFS_AT_ONCE, works, plan, end, found)


def _at_once(number: int, works: Mapping[str, Work], plan: Plan, end: float, found: Findings) -> None:
    def work(name: str) -> None:
        pause(0)  # those that waited in line for the ones that were stopped
        if time.monotonic() + _LEAST_SECONDS > end:
            found.miss(name)
            return
        try:
            works[name](replace(plan, directory=Path(tempfile.mkdtemp(prefix="cluster-", dir=plan.directory))))
            found.say(f"[{name}: done]")
        except Exception:  # noqa: BLE001 - the torture's own mistake: what the other works find is worth no less
            found.failures.append(f"{name} broke off:\n{traceback.format_exc()}")

    with ThreadPoolExecutor(number) as pool:
        list(pool.map(work, works))


def alone(chosen: Sequence[Fault], seed: int, end: float, found: Findings, plan: Plan) -> None:
    """Each of these faults by itself, one after the other on one cluster, as long as there is time."""
    with running(plan, seed) as run:
        for fault in chosen:
            if time.monotonic() > end:
                found.miss(fault.name)
            else:
                found.progress(run.inject([fault]))
        found.add(run.finish())


def mixture(chosen: Sequence[Fault], seed: int, end: float, found: Findings, plan: Plan) -> None:
    """Random faults, two or three at a time, as long as there is time."""
    schedule = random_schedule(chosen, seed)
    with running(plan, seed) as run:
        while time.monotonic() + _WIND_UP_SECONDS < end:
            found.progress(run.inject(next(schedule)))
        found.add(run.finish())


def backlogged(seconds: float, seed: int, found: Findings, plan: Plan) -> None:
    """More work than the workers manage, for that long; then all of it must end."""
    with running(plan, seed, settle_seconds=max(120.0, seconds / 2)) as run:
        found.progress(run.inject([backlog(seconds)]))
        found.add(run.finish())


def _apart(fault: Fault, seed: int, found: Findings, plan: Plan) -> None:
    if "disk" not in fault.name:
        large = {**plan.settings, "PREDICTQ_BULK_BATCH_ROWS": "10000"}
        _single(fault, seed, found, replace(plan, settings=large))
        return
    try:
        with small_disk(400) as disk:
            if fault.name.startswith("PostgreSQL"):
                _single(fault, seed, found, replace(plan, postgres_disk=disk))
            else:
                _single(fault, seed, found, replace(plan, redis_disk=disk))
    except NoSmallDisk as error:
        found.add(Result([Outcome(fault.name, not_run=str(error))], [], [], 0, 0, 0, 0))


def _single(fault: Fault, seed: int, found: Findings, plan: Plan) -> None:
    with running(plan, seed) as run:
        found.progress(run.inject([fault]))
        found.add(run.finish())


def _prove(proof: Proof, seed: int, found: Findings, plan: Plan) -> None:
    found.add_proof(prove(proof, plan.directory, seed))


def default_plan(directory: Path) -> Plan:
    """Everything as it is shipped, Flower beside it."""
    return Plan(directory, settings=dict(DEFAULTS), has_flower=True)
