"""Answers that are large, asked for often, or never taken."""

from __future__ import annotations

from tests.hostile.attack import attack
from tests.hostile.attacker import Attacker

_KIND = "reading"


@attack(_KIND, "parts of results of 10,000 rows, over 8 connections", quick=True, at_once=True)
def largest_parts(attacker: Attacker) -> None:
    def read() -> None:
        connection = attacker.connect()
        path = f"{attacker.target.facts['jobs'][attacker.target.key]}/results?limit=10000"
        while attacker.goes_on:
            answer = attacker.call("GET", path, over=connection)
            attacker.expect(answer.status in (200, 429), f"a part was answered {answer.status}")

    attacker.in_threads(8, read)
