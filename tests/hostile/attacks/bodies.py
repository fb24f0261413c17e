"""Bodies that are as large, deep or many-membered as they may be, or more."""

from __future__ import annotations

import json

from tests.hostile.attack import attack
from tests.hostile.attacker import Attacker

_KIND = "bodies"


@attack(_KIND, "JSON lists of 100,000 whole numbers", at_once=True)
def long_lists(attacker: Attacker) -> None:
    body = json.dumps({"client_ids": list(range(10**18, 10**18 + 100_000))}).encode()
    while attacker.goes_on:
        answer = attacker.call("POST", "/v1/jobs", body)
        attacker.expect(answer.status in (202, 429), f"a list was answered {answer.status}")
