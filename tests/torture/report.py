"""A run as text."""

from __future__ import annotations

from collections import Counter

from tests.torture.manners import Seen, seen_by_fault
from tests.torture.run import Outcome, Result

TABLE_HEAD = (
    "| fault | callers saw | slowest | first answer | all ended | sent again | deliveries / batches | notes |\n"
    "|---|---|---|---|---|---|---|---|"
)
PROOFS_HEAD = "| without | fault | outcome |\n|---|---|---|"


def table(result: Result) -> str:
    """The faults as a Markdown table. Times in seconds after the fault was healed."""
    return "\n".join([TABLE_HEAD, *rows(result)])


def rows(result: Result) -> list[str]:
    """The lines of that table without its head."""
    seen = seen_by_fault(result.events)
    return [*(_line(outcome, seen.get(outcome.fault, Seen())) for outcome in result.outcomes)]


def _line(outcome: Outcome, seen: Seen) -> str:
    if outcome.not_run is not None:
        return f"| {outcome.fault} | NOT RUN: {outcome.not_run} | | | | | | |"
    cells = [
        outcome.fault,
        _seen_words(seen),
        f"{seen.slowest:.1f} s",
        _words(outcome.first_answer),
        _words(outcome.all_ended),
    ]
    counts = outcome.counts
    cells += [str(counts["sent_again"]), f"{counts['delivered']} / {counts['batches']}", "; ".join(outcome.notes)]
    return f"| {' | '.join(cells)} |"


def _seen_words(seen: Seen) -> str:
    """What callers saw; the names that an HTTP library gives to broken connections and time-outs in plain words."""
    words: Counter[str] = Counter()
    for status, count in seen.statuses.items():
        words[status if status.isdecimal() else "time-out" if "Timeout" in status else "broken connection"] += count
    return ", ".join(f"{count} × {word}" for word, count in words.most_common())


def line(outcome: Outcome) -> str:
    """One outcome as soon as it is known."""
    if outcome.not_run is not None:
        return f"{outcome.fault}: NOT RUN: {outcome.not_run}"
    return f"{outcome.fault}: first answer {_words(outcome.first_answer)}, all {_words(outcome.all_ended)}"


def _words(seconds: float | None) -> str:
    return "never" if seconds is None else f"{seconds:.1f} s"


def verdict(result: Result) -> str:
    """One paragraph, and the broken promises with an example of each."""
    ran = [outcome for outcome in result.outcomes if outcome.not_run is None]
    lines = [
        f"{len(ran)} faults injected, {len(result.outcomes) - len(ran)} not run.",
        f"{result.jobs} jobs of {result.rows} rows.",
        f"The row accounting was looked at {result.moments} times, and told by gateways {result.told} times.",
        f"{len(result.violations)} violations.",
    ]
    counts = Counter(violation.promise for violation in result.violations)
    for promise, count in counts.most_common():
        lines.append(f"BROKEN {count} × {promise}")
        examples = [violation.detail for violation in result.violations if violation.promise == promise]
        lines += [f"    {example}" for example in examples[:5]]
    return "\n".join(lines)
