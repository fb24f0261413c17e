"""`python -m tests.torture`: torture a cluster, and tell whether any promise broke. Exit status 1 when one did."""

from __future__ import annotations

import argparse
import shutil
import sys
import tempfile
import time
from pathlib import Path

from tests.torture import faults, whole
from tests.torture.cluster import IMPATIENT, Plan
from tests.torture.faults.base import Fault
from tests.torture.report import rows, table, verdict
from tests.torture.run import Result, running

_PROOFS_SECONDS = 330.0  # of the time given, for the proofs
_APART_SECONDS = 150.0  # and for the faults that need a cluster of their own


def main() -> None:
    """Read the command line, run, report."""
    options = _options()
    directory = options.keep or Path(tempfile.mkdtemp(prefix="predictq-torture-"))
    _say(f"seed {options.seed}, history in {directory}")
    wanted = options.only.lower()
    chosen = [fault for name, fault in faults.ALL.items() if wanted in name.lower()]
    if not chosen:
        sys.exit(f"no fault matches {options.only!r}; there are:\n" + "\n".join(faults.ALL))
    failures = _prove(directory, options) if options.prove else _torture(directory, chosen, options)
    if failures:
        sys.exit("\n".join([*failures, f"seed {options.seed}, history and logs kept in {directory}"]))
    if options.keep is None:
        shutil.rmtree(directory)


def _torture(directory: Path, chosen: list[Fault], options: argparse.Namespace) -> list[str]:
    """The run that was asked for; returns what is wrong."""
    end = time.monotonic() + options.seconds
    everything = not options.only and not options.without
    faults_end = end - (_PROOFS_SECONDS + _APART_SECONDS if everything else 0)
    plan = whole.default_plan(directory)
    settings = dict(IMPATIENT) if options.impatient else plan.settings
    with running(Plan(directory, settings=settings, sabotage=options.without), options.seed) as run:
        missing = whole.alone(run, chosen, faults_end, _say)
        if not options.once:
            whole.mixed(run, chosen, options.seed, faults_end, _say)
        result = run.finish()
    _say(table(result))
    failures = _judge(result)
    if everything:
        for other in whole.apart(plan, options.seed, _say):
            _say("\n".join(rows(other)))
            failures += _judge(other)
        failures += _prove(directory, options, end)
    if missing:
        _say("NOT REACHED in the time given, so not tested: " + "; ".join(missing))
    return failures


def _judge(result: Result) -> list[str]:
    _say(verdict(result))
    return ["promises were broken"] if result.violations else []


def _prove(directory: Path, options: argparse.Namespace, end: float | None = None) -> list[str]:
    table, open_questions = whole.proofs(directory, options.seed, end or time.monotonic() + options.seconds, _say)
    _say("\n".join(["| without | fault | outcome |", "|---|---|---|", *table]))
    return [f"the torture does not show that this is needed: {name}" for name in open_questions]


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m tests.torture", description=__doc__)
    parser.add_argument("--seconds", type=float, default=870, help="how long it may take, about")
    parser.add_argument("--seed", type=int, default=int(time.time()), help="what the random choices follow from")
    parser.add_argument("--only", default="", help="faults whose name contains this, and nothing else")
    parser.add_argument("--once", action="store_true", help="each fault alone, no random schedules after that")
    parser.add_argument("--prove", action="store_true", help="only the proofs that the torture can fail")
    parser.add_argument("--without", help="go without this protection; see tests/torture/sabotage.py")
    parser.add_argument("--impatient", action="store_true", help="short leases and quick sweeps")
    parser.add_argument("--keep", type=Path, help="the directory for history and logs, kept in any case")
    return parser.parse_args()


def _say(text: str) -> None:
    sys.stdout.write(text + "\n")
    sys.stdout.flush()


if __name__ == "__main__":
    main()
