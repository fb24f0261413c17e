"""Getting a small JSON document from an identity provider."""

from __future__ import annotations

import json
import urllib.request
from typing import Any
from urllib.error import URLError
from urllib.parse import urlsplit

from shared.errors import PredictqError

TIMEOUT_SECONDS = 5.0
_MOST_BYTES = 1_000_000
_LOOPBACK = ("127.0.0.1", "localhost", "::1")


class ProviderAway(PredictqError):
    """The identity provider does not answer, or not as one does."""

    def __init__(self, why: str) -> None:
        super().__init__(f"The identity provider does not answer as it should: {why}")


class _NoRedirect(urllib.request.HTTPRedirectHandler):
    """A provider's documents are where it says: nobody is followed elsewhere."""

    def redirect_request(self, *_: Any) -> None:
        return None


_OPENER = urllib.request.build_opener(_NoRedirect)


def fetch_json(url: str, *, allows_http: bool) -> dict[str, Any]:
    """The JSON object at an address: https alone, or a provider on this machine in development. Raises ProviderAway."""
    parts = urlsplit(url)
    if parts.scheme != "https" and not (allows_http and parts.scheme == "http" and parts.hostname in _LOOPBACK):
        raise ProviderAway(f"{url} is not https")
    request = urllib.request.Request(url, headers={"Accept": "application/json"})  # noqa: S310 - https, as checked
    try:
        with _OPENER.open(request, timeout=TIMEOUT_SECONDS) as answer:
            content = json.loads(answer.read(_MOST_BYTES))
    except (URLError, OSError, ValueError) as error:
        raise ProviderAway(f"{url}: {type(error).__name__}") from None
    if not isinstance(content, dict):
        raise ProviderAway(f"{url} is no JSON object")
    return content
