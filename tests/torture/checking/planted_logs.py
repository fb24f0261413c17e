"""The logs of a run, searched for what it has planted: features, keys of clients and of calls, API keys, passwords."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path

from tests.torture.checking.violation import Violation

PROMISE = "no feature, key or password is in a log"
_SHOWN = 300  # characters of a line
# As `population` has them.
_PLANTED = {
    "an income": rb"(?<![\d.])[1-9]730\d{4}(?!\d)",
    "a client's key": rb"(?<!\d)(?:6100\d{5}|10{13}\d{5})(?!\d)",
    "an Idempotency-Key": rb"idempotent-[0-9a-f]{12}",
}


def search_logs(logs: Iterable[Path], secrets: Mapping[str, str]) -> Iterator[Violation]:
    """A violation for each kind of thing found in each log, with its first line. `secrets` by what they are."""
    kinds = {**_PLANTED, **{what: re.escape(secret.encode()) for what, secret in secrets.items() if secret}}
    names = list(kinds)
    pattern = re.compile(b"|".join(b"(%s)" % expression for expression in kinds.values()))
    for log in logs:
        found: Counter[str] = Counter()
        first: dict[str, str] = {}
        with log.open("rb") as lines:
            for number, line in enumerate(lines, start=1):
                for match in pattern.finditer(line):
                    what = names[(match.lastindex or 1) - 1]
                    found[what] += 1
                    begin = max(0, match.start() - _SHOWN // 2)
                    first.setdefault(what, f"line {number}: {line[begin : begin + _SHOWN].decode(errors='replace')}")
        for what, count in found.items():
            yield Violation(PROMISE, f"{log.name} has {what} {count} times, first in {first[what].strip()}")
