"""The lock of an Idempotency-Key: whoever accepts a job under it holds it until that is committed, and nobody waits."""

from __future__ import annotations


def lock_of_key_sql(owner: str, key: str) -> str:
    """SQL: the number of the advisory lock of a key, from columns of its owner and of itself."""
    return f"hashtextextended({owner} || chr(10) || {key}, 0)"
