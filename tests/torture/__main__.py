"""`python -m tests.torture`: torture a cluster, and tell whether any promise broke. Exit status 1 when one did."""

from __future__ import annotations

import argparse
import shutil
import sys
import tempfile
import time
from pathlib import Path

from tests.torture import faults
from tests.torture.cluster import DEFAULTS, IMPATIENT, Plan
from tests.torture.report import line, table, verdict
from tests.torture.run import random_schedule, running


def main() -> None:
    """Read the command line, run, report."""
    options = _options()
    directory = options.keep or Path(tempfile.mkdtemp(prefix="predictq-torture-"))
    _say(f"seed {options.seed}, history in {directory}")
    settings = dict(IMPATIENT if options.impatient else DEFAULTS)
    chosen = [fault for name, fault in faults.ALL.items() if not options.only or options.only.lower() in name.lower()]
    if not chosen:
        sys.exit(f"no fault matches {options.only!r}; there are:\n" + "\n".join(faults.ALL))
    deadline = time.monotonic() + options.seconds
    with running(Plan(directory, settings=settings, sabotage=options.without), options.seed) as run:
        for fault in chosen:
            if time.monotonic() < deadline:
                run.inject([fault])
                _say(line(run.outcomes[-1]))
        schedule = random_schedule(chosen, options.seed)
        while time.monotonic() < deadline and not options.once:
            run.inject(next(schedule))
            _say(line(run.outcomes[-1]))
        result = run.finish()
    _say(table(result))
    _say(verdict(result))
    left_out = [fault.name for fault in chosen if fault.name not in {outcome.fault for outcome in result.outcomes}]
    if left_out:
        _say("NOT REACHED in the time given: " + "; ".join(left_out))
    if result.violations:
        sys.exit(f"promises were broken; seed {options.seed}, history kept in {directory}")
    if options.keep is None:
        shutil.rmtree(directory)


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m tests.torture", description=__doc__)
    parser.add_argument("--seconds", type=float, default=600, help="how long to inject faults")
    parser.add_argument("--seed", type=int, default=int(time.time()), help="what the random choices follow from")
    parser.add_argument("--only", help="faults whose name contains this")
    parser.add_argument("--once", action="store_true", help="each fault alone, no random schedules after that")
    parser.add_argument("--without", help="go without this protection; see tests/torture/sabotage.py")
    parser.add_argument("--impatient", action="store_true", help="short leases and quick sweeps")
    parser.add_argument("--keep", type=Path, help="the directory for history and logs, kept in any case")
    return parser.parse_args()


def _say(text: str) -> None:
    sys.stdout.write(text + "\n")
    sys.stdout.flush()


if __name__ == "__main__":
    main()
