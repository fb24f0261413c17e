"""Idempotency keys of jobs that an erasure has met: a caller may have made such a key out of her client's.

The row stays, under a keyed hash of the key: a repeated call still finds its job, and nothing shows what the key was.
"""

from __future__ import annotations

_MARK = "erased-"


def erased_key_sql(column: str) -> str:
    """SQL: what a key of this column is stored as once an erasure has met its job."""
    salted = f"(SELECT hash_secret FROM predictq.installation) || convert_to({column}, 'UTF8')"
    return f"'{_MARK}' || encode(sha256({salted}), 'hex')"


def is_plain_key_sql(column: str) -> str:
    """SQL: whether the key in this column is still as its caller sent it."""
    return f"{column} !~ '^{_MARK}[0-9a-f]{{64}}$'"
