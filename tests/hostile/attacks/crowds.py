"""Very many at once of what one may have."""

from __future__ import annotations

from tests.hostile.attack import attack
from tests.hostile.attacker import Attacker

_KIND = "crowds"


@attack(_KIND, "400 calls that wait a minute for a job that does not end", quick=True, at_once=True)
def waiters(attacker: Attacker) -> None:
    head = attacker.head("POST", "/v1/predict", {"Prefer": "wait=60", "Content-Length": "16"})
    for _ in range(400):
        attacker.send(attacker.connect(), head + b'{"client_id": 1}')
