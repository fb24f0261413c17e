"""What one attack cost, and what must hold of it."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

MOST_MEMORY = 200_000_000  # bytes of the gateway, always
LONGEST_STALL = 0.020  # seconds for which its event loop may stand still
NEIGHBOUR_SECONDS = 0.050  # p99 of the neighbour's calls, or three times what it is in calm
TIMES_CALM = 3
LENIENT = 25  # times the bounds of time, where a machine has other work
ENOUGH_CALLS = 200  # of which a p99 says something


@dataclass
class Figures:
    """Of one attack, or of several at once."""

    name: str
    kind: str
    what: str
    open_at_end: int = 0  # connections, when the attack ended
    left_open: int = 0  # some seconds after its callers hung up
    bytes_taken: int = 0
    peak_memory: int = 0  # bytes
    longest_stall: float = 0.0  # seconds
    answers: dict[str, int] = field(default_factory=dict)  # by status; "0": hung up without one
    neighbour_calls: int = 0
    neighbour_p50: float = 0.0  # seconds
    neighbour_p99: float = 0.0
    neighbour_wrong: list[str] = field(default_factory=list)
    complaints: list[str] = field(default_factory=list)

    def findings(self, calm_p99: float, *, lenient: bool = False) -> list[str]:
        """What does not hold; empty where all does. `lenient` is for a machine that has other work."""
        times = LENIENT if lenient else 1
        found = list(self.complaints)
        if self.left_open:
            found.append(f"{self.left_open} connections left open")
        if self.peak_memory > MOST_MEMORY:
            found.append(f"the gateway took {self.peak_memory / 1e6:.0f} MB")
        if self.longest_stall > times * LONGEST_STALL:
            found.append(f"the event loop stood still for {self.longest_stall * 1000:.0f} ms")
        if self.neighbour_wrong:
            found.append(f"the neighbour had {len(self.neighbour_wrong)} calls go wrong: {self.neighbour_wrong[0]}")
        bound = times * max(NEIGHBOUR_SECONDS, TIMES_CALM * calm_p99)
        if self.neighbour_calls >= ENOUGH_CALLS and self.neighbour_p99 > bound:
            found.append(f"the neighbour's p99 was {self.neighbour_p99 * 1000:.0f} ms (may be {bound * 1000:.0f})")
        return found

    def row(self) -> str:
        """A row of the table."""
        answers = ", ".join(sorted(self.answers))
        cells = [
            self.what,
            answers,
            _bytes(self.bytes_taken),
            f"{self.open_at_end} → {self.left_open}",
            f"{self.peak_memory / 1e6:.0f}",
            f"{self.longest_stall * 1000:.1f}",
            f"{self.neighbour_p50 * 1000:.1f} / {self.neighbour_p99 * 1000:.1f}",
        ]
        return f"| {' | '.join(cells)} |"


def _bytes(count: int) -> str:
    for unit, size in (("GB", 1e9), ("MB", 1e6), ("kB", 1e3)):
        if count >= size:
            return f"{count / size:.1f} {unit}"
    return f"{count} B"


_HEAD = """# Hostile callers, measured

Written by `make hostile`: {attacks} attacks on a real gateway, worker, PostgreSQL and Valkey on one machine of {cores}
cores, each for {seconds:g} s, while a well-behaved neighbour goes on calling. What must hold of each: no connection is
left open once its caller has hung up, the gateway never takes more than 200 MB, its event loop never stands still for
more than 20 ms, none of the neighbour's calls is refused, and their p99 is at most 50 ms or three times that of calm.
The short form is a part of `make test`. Strangers have machines of their own: here they share the cores with what they
attack, so their processes have a lower priority (`nice`), which costs the gateway and its neighbour what they send, and
not what it takes to send it.

*Answers* are the statuses that the attack got; 0 means that the connection was ended without one. *Connections* are
those open when the attack ended, and those left some seconds after its callers hung up. *Stall* is the longest time
that anything kept the gateway's event loop from turning. *Neighbour* is her p50 and p99. In calm that is
{p50:.1f} / {p99:.1f} ms, with {memory:.0f} MB of memory.
"""
_COLUMNS = "| attack | answers | bytes taken | connections | peak MB | stall, ms | neighbour, ms |"
_RULE = "|---|---|--:|--:|--:|--:|--:|"


def write_page(path: Path, calm: Figures, all_figures: Sequence[Figures], *, seconds: float, cores: int) -> None:
    """The page with one table for each kind, and what did not hold."""
    kinds = list(dict.fromkeys(figures.kind for figures in all_figures))
    parts = [
        _HEAD.format(
            attacks=len(all_figures),
            cores=cores,
            seconds=seconds,
            p50=calm.neighbour_p50 * 1000,
            p99=calm.neighbour_p99 * 1000,
            memory=calm.peak_memory / 1e6,
        )
    ]
    for kind in kinds:
        rows = [figures.row() for figures in all_figures if figures.kind == kind]
        parts.append("\n".join([f"## {kind.capitalize()}", "", _COLUMNS, _RULE, *rows, ""]))
    missed = [
        f"- {figures.what}: {'; '.join(found)}"
        for figures in all_figures
        if (found := figures.findings(calm.neighbour_p99))
    ]
    if missed:
        parts.append("\n".join(["## What did not hold", "", *missed, ""]))
    path.write_text("\n".join(parts), encoding="utf-8")


def keep(path: Path, figures: Figures) -> None:
    """Add the figures as a line of JSON, for a run that takes long to be looked at."""
    with path.open("a", encoding="utf-8") as file:
        file.write(json.dumps(vars(figures)) + "\n")
