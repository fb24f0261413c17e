"""`python -m tests.mutants`: mutate, test, and list the mutants that no test noticed. Exit status 1 below the goal.

What is known is kept, so that a run can be stopped and taken up again. A module that has changed is tested anew.
"""

from __future__ import annotations

import argparse
import os
import sys
import time
from collections import defaultdict
from collections.abc import Mapping, Sequence
from concurrent.futures import ProcessPoolExecutor
from itertools import islice, repeat
from multiprocessing import get_context
from pathlib import Path

from tests.mutants.mutations import Mutant, sample
from tests.mutants.outcomes import read_outcomes
from tests.mutants.runs import SURVIVED, try_mutants
from tests.mutants.targets import TARGETS, Target

_GOAL = 0.85


def main() -> None:
    """Test the sample, as far as it is not known yet and there is time."""
    options = _options()
    targets = {path: target for target in TARGETS for path in target.paths}
    mutants = list(islice(sample(list(targets), options.seed, options.only.split(",")), options.sample))
    known = read_outcomes()
    waiting = [
        mutant for mutant in mutants if mutant.id not in known or (options.again and known[mutant.id] == SURVIVED)
    ]
    _say(f"{len(mutants)} mutants, {len(waiting)} of them to be tested")
    if waiting:
        end = time.monotonic() + options.seconds
        parts = _shared_out(waiting, targets, options.processes)
        with ProcessPoolExecutor(options.processes, get_context("spawn")) as pool:
            for fault in pool.map(try_mutants, parts, repeat(targets), repeat(end), repeat(options.again)):
                if fault:
                    sys.exit(fault)
    sys.exit(_report(mutants, read_outcomes()))


def _shared_out(mutants: Sequence[Mutant], targets: Mapping[Path, Target], processes: int) -> list[list[Mutant]]:
    """A part for each process, about alike: all of one target in one, for its tests are run once without a mutant."""
    by_target: dict[Target, list[Mutant]] = defaultdict(list)
    for mutant in mutants:
        by_target[targets[mutant.path]].append(mutant)
    parts: list[list[Mutant]] = [[] for _ in range(processes)]
    for of_one in sorted(by_target.values(), key=len, reverse=True):
        min(parts, key=len).extend(of_one)
    return [part for part in parts if part]


def _report(mutants: Sequence[Mutant], known: Mapping[str, str]) -> int:
    tested = [mutant for mutant in mutants if mutant.id in known]
    survivors = [mutant for mutant in tested if known[mutant.id] == SURVIVED]
    if survivors:
        _say("\nSurvivors:\n\n| where | as it is | with the mistake | why no test can notice |\n|---|---|---|---|")
    for mutant in sorted(survivors, key=lambda one: (one.path, one.line)):
        _say(f"| {mutant.path} | `{_cell(mutant.before)}` | `{_cell(mutant.after)}` | |")
    share = 1 - len(survivors) / len(tested) if tested else 0.0
    _say(f"\n{len(tested)} of {len(mutants)} tested, {len(tested) - len(survivors)} killed: {share:.1%}")
    return int(len(tested) < len(mutants) or share < _GOAL)


def _cell(line: str) -> str:
    return line.replace("|", "\\|")


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m tests.mutants", description=__doc__)
    parser.add_argument("--sample", type=int, default=400, help="how many mutants")
    parser.add_argument("--seed", type=int, default=1, help="which ones: the same seed, the same mutants")
    parser.add_argument("--only", default="", help="only in modules whose path has this, or one of these with commas")
    parser.add_argument("--seconds", type=float, default=1e9, help="stop after about so long; another run goes on")
    parser.add_argument("--processes", type=int, default=os.cpu_count() or 1, help="how many are tested at once")
    parser.add_argument("--again", action="store_true", help="test those again that survived, by all tests")
    return parser.parse_args()


def _say(words: str) -> None:
    sys.stdout.write(words + "\n")
    sys.stdout.flush()


if __name__ == "__main__":
    main()
