"""What several runs found, added up."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field

from tests.torture.report import PROOFS_HEAD, TABLE_HEAD, line, rows, verdict
from tests.torture.run import Outcome, Result
from tests.torture.sabotage.proofs import Proven


@dataclass
class Findings:
    """Takes in runs from several threads; `say` tells people of progress."""

    say: Callable[[str], None]
    failures: list[str] = field(default_factory=list)
    _table: list[str] = field(default_factory=list)
    _proofs: list[str] = field(default_factory=list)
    _results: list[Result] = field(default_factory=list)

    def progress(self, outcome: Outcome) -> None:
        """Tell of one fault as soon as it is over."""
        self.say(line(outcome))

    def add(self, result: Result) -> None:
        """Take in how a run came out."""
        self._results.append(result)
        self._table += rows(result)
        if result.violations:
            self.failures.append(f"promises were broken:\n{verdict(result)}")

    def add_proof(self, proven: Proven) -> None:
        """Take in a proof; one that does not hold is a failure of the torture itself."""
        self.say(proven.line())
        self._proofs.append(proven.line())
        if not proven.holds:
            self.failures.append(f"the torture does not show that this is needed: {proven.words()}")

    def miss(self, name: str) -> None:
        """There was no time for this: a run that left something out has not passed."""
        self.failures.append(f"not reached in the time given, so not tested: {name}")

    def report(self) -> str:
        """Everything as Markdown."""
        lines = [TABLE_HEAD, *self._table] if self._table else []
        lines += ["", PROOFS_HEAD, *self._proofs] if self._proofs else []
        return "\n".join([*lines, "", self._total()])

    def _total(self) -> str:
        outcomes = [outcome for result in self._results for outcome in result.outcomes]
        ran = sum(outcome.not_run is None for outcome in outcomes)
        jobs, rows_, moments, told = (
            sum(getattr(result, name) for result in self._results) for name in ("jobs", "rows", "moments", "told")
        )
        return (
            f"{ran} injections, {len(outcomes) - ran} not run; {jobs} jobs of {rows_} rows; "
            f"the row accounting was looked at {moments} times, and told by gateways {told} times; "
            f"{len(self._proofs)} proofs; {len(self.failures)} failures."
        )
