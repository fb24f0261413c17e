"""`python -m tests.torture`: torture a cluster, and tell whether any promise broke. Exit status 1 when one did."""

from __future__ import annotations

import argparse
import shutil
import sys
import tempfile
import time
from dataclasses import replace
from pathlib import Path

from tests.torture import faults, whole
from tests.torture.checking.findings import Findings
from tests.torture.faults.base import Fault
from tests.torture.machinery.cluster import IMPATIENT, Plan
from tests.torture.machinery.stopping import Stopped, take_signals


def main() -> None:
    """Read the command line, run, report."""
    options = _options()
    take_signals()
    directory = options.keep or Path(tempfile.mkdtemp(prefix="predictq-torture-"))
    directory.mkdir(parents=True, exist_ok=True)
    _say(f"seed {options.seed}, history in {directory}")
    started = time.monotonic()
    found = Findings(_say)
    try:
        _torture(whole.default_plan(directory), options, found)
    except Stopped:
        sys.exit(f"stopped; history and logs kept in {directory}")
    _say(f"{found.report()}\n{time.monotonic() - started:.0f} s")
    if found.failures:
        sys.exit("\n".join([*found.failures, f"seed {options.seed}, history and logs kept in {directory}"]))
    if options.keep is None:
        shutil.rmtree(directory)


def _torture(plan: Plan, options: argparse.Namespace, found: Findings) -> None:
    """The run that was asked for."""
    seed, end = options.seed, time.monotonic() + options.seconds
    plan = replace(
        plan, settings=dict(IMPATIENT) if options.impatient else plan.settings, sabotage=tuple(options.without)
    )
    if options.prove:
        whole.proofs(plan, seed, end, found, options.only)
    elif options.backlog:
        whole.backlogged(options.backlog, seed, found, plan)
    elif options.mixed:
        whole.mixture(_chosen(options.only), seed, end, found, plan)
    elif options.only or options.without:
        whole.alone(_chosen(options.only), seed, end, found, plan)
    else:
        whole.everything(plan, seed, end, found)


def _chosen(wanted: str) -> list[Fault]:
    chosen = [fault for name, fault in faults.ALL.items() if wanted.lower() in name.lower()]
    if not chosen:
        sys.exit(f"no fault matches {wanted!r}; there are:\n" + "\n".join(faults.ALL))
    return chosen


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m tests.torture", description=__doc__)
    parser.add_argument("--seconds", type=float, default=870, help="how long it may take, about")
    parser.add_argument("--seed", type=int, default=int(time.time()), help="what the random choices follow from")
    parser.add_argument(
        "--only", default="", help="faults (with --prove: protections, with commas) whose name contains this alone"
    )
    parser.add_argument("--mixed", action="store_true", help="only a random schedule of faults, two or three at a time")
    parser.add_argument(
        "--backlog", type=float, metavar="SECONDS", help="only a backlog of that length, without faults"
    )
    parser.add_argument("--prove", action="store_true", help="only the proofs that the torture can fail")
    parser.add_argument(
        "--without",
        action="append",
        default=[],
        help="go without this protection; see tests/torture/sabotage/",
    )
    parser.add_argument("--impatient", action="store_true", help="short leases and quick sweeps")
    parser.add_argument("--keep", type=Path, help="the directory for history and logs, kept in any case")
    return parser.parse_args()


def _say(text: str) -> None:
    sys.stdout.write(text + "\n")
    sys.stdout.flush()


if __name__ == "__main__":
    main()
