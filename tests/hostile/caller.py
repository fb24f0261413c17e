"""The process of one hostile caller: does attacks by name, and writes as JSON what it saw.

python -m tests.hostile.caller NAME… < target.json
"""

from __future__ import annotations

import errno
import json
import os
import resource
import sys
import time
from dataclasses import replace

from tests.hostile import attacks
from tests.hostile.attack import ATTACKS
from tests.hostile.attacker import Attacker, Target

_NICENESS = 10  # strangers have processors of their own; here they share those of the gateway and of the neighbour


def main() -> None:
    """Do the attacks named, one after the other. Says `ready` before, and waits on stdin after the last one."""
    os.nice(_NICENESS)
    _, most = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))  # the gateway's limits are tried, and not ours
    attacks.load()
    target = Target(**json.loads(sys.stdin.readline()))
    names = sys.argv[1:]
    attackers = []
    _say("ready")
    end = time.monotonic() + target.seconds
    turn = 0
    while time.monotonic() < end or not attackers:
        attack = ATTACKS[names[turn % len(names)]]
        attacker = Attacker(replace(target, seconds=target.seconds / len(names)))
        attackers.append(attacker)
        try:
            attack.run(attacker)
        except OSError as error:
            if error.errno != errno.EMFILE:  # it has no more connections to open: that is its own limit
                attacker.expect(False, f"{attack.name}: {error}")
        except Exception as error:  # noqa: BLE001 - told to whoever started this
            attacker.expect(False, f"{attack.name}: {type(error).__name__}: {error}")
        turn += 1
        if turn < len(names):
            _hang_up(attacker)
    _say("done")
    sys.stdin.readline()  # until it is counted what is still open
    for attacker in attackers:
        _hang_up(attacker)
    _say(json.dumps(_seen(attackers)))
    sys.stdin.readline()


def _say(line: str) -> None:
    sys.stdout.write(line + "\n")
    sys.stdout.flush()


def _hang_up(attacker: Attacker) -> None:
    with attacker.hanging_up():
        pass


def _seen(attackers: list[Attacker]) -> dict[str, object]:
    answers: dict[int, int] = {}
    for attacker in attackers:
        for status, count in attacker.answers.items():
            answers[status] = answers.get(status, 0) + count
    return {
        "bytes_sent": sum(attacker.bytes_sent for attacker in attackers),
        "answers": answers,
        "complaints": [words for attacker in attackers for words in attacker.complaints],
    }


if __name__ == "__main__":
    main()
