"""The token of every form: made from the browser's own cookie, which no other site can read, nor set (over https).

It is a hash, so that it does not give the cookie away, and there is nothing to store.
"""

from __future__ import annotations

import hashlib
import hmac

FIELD = "form_token"
_PURPOSE = b"predictq form token:"


def token_of(visit: str) -> str:
    """The token of the forms shown to the browser with this cookie."""
    return hashlib.sha256(_PURPOSE + visit.encode()).hexdigest()


def is_token_of(visit: str, given: str) -> bool:
    """Whether a form comes from a page that was shown to this browser."""
    return bool(visit) and hmac.compare_digest(token_of(visit).encode(), given.encode())
