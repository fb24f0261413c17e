"""What an attack is, and the list of all of them.

@attack("bodies", "one list of 100,000 ids after the other", quick=True)
def long_lists(attacker: Attacker) -> None:
while attacker.goes_on:
answer = attacker.call("POST", "/v1/jobs", body)
attacker.expect(answer.status == 202, f"a list was answered {answer.status}")
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from tests.hostile.attacker import Attacker

Run = Callable[["Attacker"], None]


@dataclass(frozen=True, slots=True)
class Attack:
    """One thing that somebody tries. `run` goes on for `attacker.seconds`, and says by `expect` what must hold."""

    name: str
    kind: str
    what: str  # for the table: what is done, in a few words
    run: Run
    quick: bool  # whether the short form has it
    at_once: bool  # whether hostile callers do it when four of them do their worst at once
    seconds: float | None  # its length where that matters; None: as long as the run gives to each


ATTACKS: dict[str, Attack] = {}


def attack(
    kind: str, what: str, *, quick: bool = False, at_once: bool = False, seconds: float | None = None
) -> Callable[[Run], Run]:
    """Register a function as an attack by its own name."""

    def register(run: Run) -> Run:
        name = run.__name__
        if name in ATTACKS:
            raise ValueError(f"two attacks are called {name}")
        ATTACKS[name] = Attack(name, kind, what, run, quick, at_once, seconds)
        return run

    return register
