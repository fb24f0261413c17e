"""Keys that are wrong, and things that belong to others."""

from __future__ import annotations

import secrets

from tests.hostile.attack import attack
from tests.hostile.attacker import Attacker

_KIND = "keys and others' things"


@attack(_KIND, "made-up keys, one after the other, over 8 connections", quick=True, at_once=True)
def made_up_keys(attacker: Attacker) -> None:
    def guess() -> None:
        connection = attacker.connect()
        while attacker.goes_on:
            answer = attacker.call("GET", "/v1/models", key=f"pq_{secrets.token_urlsafe(32)}", over=connection)
            attacker.expect(answer.status in (401, 429), f"a made-up key was answered {answer.status}")

    attacker.in_threads(8, guess)
