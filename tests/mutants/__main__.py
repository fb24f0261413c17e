"""`python -m tests.mutants`: mutate, test, and list the mutants that no test noticed. Exit status 1 below the goal.

What is known is kept in .mutants/outcomes.jsonl, so that a run can be stopped and taken up again. A module that has
changed is tested anew.
"""

from __future__ import annotations

import argparse
import json
import sys
import time
from itertools import islice
from pathlib import Path

from tests.mutants.mutations import Mutant, sample
from tests.mutants.runs import Runner, warm_runner
from tests.mutants.targets import ROOT, TARGETS, Target

_STATE = ROOT / ".mutants"
_GOAL = 0.85
_PATIENCE = 3  # times as long as without a mutant
_BASELINE_SECONDS = 300.0

Known = dict[str, dict[str, object]]


def main() -> None:
    """Test the sample, as far as it is not known yet and there is time."""
    options = _options()
    targets = {path: target for target in TARGETS for path in target.paths if options.only in str(path)}
    mutants = list(islice(sample(list(targets), options.seed), options.sample))
    known = _read()
    if options.again:
        known = {key: entry for key, entry in known.items() if entry["outcome"] != "survived"}
    end = time.monotonic() + options.seconds
    waiting = [mutant for mutant in mutants if mutant.id not in known]
    _say(f"{len(mutants)} mutants of {len(targets)} modules, {len(waiting)} of them not tested yet")
    if waiting:
        with warm_runner() as runner:
            _test(runner, waiting, targets, known, end)
    sys.exit(_report(mutants, known))


def _test(runner: Runner, waiting: list[Mutant], targets: dict[Path, Target], known: Known, end: float) -> None:
    baselines: dict[tuple[str, ...], float] = {}
    for mutant in waiting:
        if time.monotonic() > end:
            break
        tests = targets[mutant.path].tests
        if tests not in baselines:
            outcome = runner.run(tests, None, _BASELINE_SECONDS)
            if outcome.is_killed:
                sys.exit(f"{outcome.output}\nthese fail without any mutant: {' '.join(tests)}")
            baselines[tests] = outcome.seconds
            _say(f"{outcome.seconds:.1f} s without a mutant: {' '.join(tests)}")
        outcome = runner.run(tests, mutant, 10 + _PATIENCE * baselines[tests])
        known[mutant.id] = {"id": mutant.id, "outcome": outcome.word}
        _write(known[mutant.id])
        where = f"{mutant.path}:{mutant.line}"
        _say(f"{outcome.word:>14} {outcome.seconds:5.1f} s  {where}  {mutant.before}  →  {mutant.after}")


def _report(mutants: list[Mutant], known: Known) -> int:
    tested = [mutant for mutant in mutants if mutant.id in known]
    survivors = [mutant for mutant in tested if known[mutant.id]["outcome"] == "survived"]
    if survivors:
        _say("\nSurvivors:\n\n| where | as it is | with the mistake | why no test can notice |\n|---|---|---|---|")
    for mutant in sorted(survivors, key=lambda one: (one.path, one.line)):
        _say(f"| {mutant.path} | `{_cell(mutant.before)}` | `{_cell(mutant.after)}` | |")
    share = 1 - len(survivors) / len(tested) if tested else 0.0
    _say(f"\n{len(tested)} of {len(mutants)} tested, {len(tested) - len(survivors)} killed: {share:.1%}")
    return int(len(tested) < len(mutants) or share < _GOAL)


def _cell(line: str) -> str:
    return line.replace("|", "\\|")


def _read() -> Known:
    path = _STATE / "outcomes.jsonl"
    if not path.exists():
        return {}
    entries = [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]
    return {entry["id"]: entry for entry in entries}


def _write(entry: dict[str, object]) -> None:
    _STATE.mkdir(exist_ok=True)
    with (_STATE / "outcomes.jsonl").open("a", encoding="utf-8") as lines:
        lines.write(json.dumps(entry) + "\n")


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m tests.mutants", description=__doc__)
    parser.add_argument("--sample", type=int, default=400, help="how many mutants")
    parser.add_argument("--seed", type=int, default=1, help="which ones: the same seed, the same mutants")
    parser.add_argument("--only", default="", help="only modules whose path contains this")
    parser.add_argument("--seconds", type=float, default=1e9, help="stop after about so long; another run goes on")
    parser.add_argument("--again", action="store_true", help="test those again that survived: after adding tests")
    return parser.parse_args()


def _say(words: str) -> None:
    sys.stdout.write(words + "\n")
    sys.stdout.flush()


if __name__ == "__main__":
    main()
