"""Runs again, one by one, the few tests that failed while all ran beside each other: python -m tests.once_more STATUS.

A machine that is busy with other tests can make one of three thousand wait longer than its deadline. Such a test is a
fault of ours, too, and is named for someone to mend; but it does not say that the product is broken. A test that also
fails by itself does, and so do more than a few.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path

import pytest

CACHE = ".pytest_cache/whole"  # of `make test` alone, which empties it first
MOST = 3
EVIDENCE = (  # one failure of these says that something is wrong, however it ends the second time
    "tests/torture/",
    "tests/integration/queues/test_state_machine.py",
    "tests/integration/sources/test_generated_tables.py",
    "tests/integration/wire/test_fuzz.py",
    "tests/integration/gateway/test_schemathesis.py",
)
_TESTS_FAILED = 1  # pytest's exit status


def main(status: int, cache: Path) -> int:
    """Run them; `status` is how the whole run ended, `cache` where it wrote what failed. Returns an exit status."""
    file = cache / "v" / "cache" / "lastfailed"
    failed = sorted(json.loads(file.read_text(encoding="utf-8"))) if file.exists() else []
    if status != _TESTS_FAILED or not 0 < len(failed) <= MOST or any(name.startswith(EVIDENCE) for name in failed):
        return status
    _say(f"\nOnce more, with nothing beside them: {len(failed)} that failed.")
    again = int(pytest.main([*failed, "-o", f"cache_dir={cache}"]))
    if again == 0:
        _say("\n  ".join(["Passed by themselves, failed beside others (to be mended):", *failed]))
    return again


def _say(words: str) -> None:
    sys.stdout.write(f"{words}\n")
    sys.stdout.flush()


if __name__ == "__main__":
    sys.exit(main(int(sys.argv[1]), Path(CACHE)))
