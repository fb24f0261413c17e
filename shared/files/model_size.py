"""How large a model's file may be. No library of models is loaded to say so."""

from __future__ import annotations

MOST_BYTES = 200_000_000  # of one file: PostgreSQL takes no statement above 1 GB, and a byte costs four in it


def size_refusal(size: int) -> str | None:
    """Why a file of `size` bytes is not taken, or None. Asked before it is sent, and before it is read."""
    if size <= MOST_BYTES:
        return None
    return (
        f"The file has {size / 1e6:,.0f} MB; the most is {MOST_BYTES / 1e6:,.0f} MB. Save it with joblib's compress=3, "
        "or train fewer or smaller trees."
    )
