"""Getting small JSON documents from an identity provider."""

from __future__ import annotations

import json
import urllib.request
from collections.abc import Mapping
from http.client import HTTPException
from typing import Any
from urllib.error import HTTPError, URLError
from urllib.parse import urlencode, urlsplit

from shared.errors import PredictqError

TIMEOUT_SECONDS = 5.0
_MOST_BYTES = 1_000_000
_CODES = ("invalid_request", "invalid_client", "invalid_grant", "unauthorized_client", "unsupported_grant_type")
_LOOPBACK = ("127.0.0.1", "localhost", "::1")


class ProviderAway(PredictqError):
    """The identity provider does not answer, or not as one does."""

    def __init__(self, why: str) -> None:
        self.why = why
        super().__init__(f"The identity provider does not answer as it should: {why}")


class ProviderRefuses(PredictqError):
    """The identity provider answers, and does not give what was asked for."""

    def __init__(self, status: int, code: str) -> None:
        self.code = code
        super().__init__(f"The identity provider refuses ({status} {code})")


class _NoRedirect(urllib.request.HTTPRedirectHandler):
    """A provider's documents are where it says: nobody is followed elsewhere."""

    def redirect_request(self, *_: Any) -> None:
        return None


_OPENER = urllib.request.build_opener(_NoRedirect)


def fetch_json(url: str, *, allows_http: bool) -> dict[str, Any]:
    """The JSON object at an address. Raises ProviderAway."""
    check_address(url, allows_http=allows_http)
    request = urllib.request.Request(url, headers={"Accept": "application/json"})  # noqa: S310 - https, as checked
    try:
        return _ask(url, request)
    except HTTPError as error:
        raise ProviderAway(f"{url}: status {error.code}") from None


def post_form(url: str, form: Mapping[str, str], headers: Mapping[str, str], *, allows_http: bool) -> dict[str, Any]:
    """The JSON object that answers a form. Raises ProviderAway, and ProviderRefuses for a refusal (OAuth 2.0, 5.2)."""
    check_address(url, allows_http=allows_http)
    request = urllib.request.Request(  # noqa: S310 - https, as checked
        url, data=urlencode(form).encode("ascii"), headers={"Accept": "application/json", **headers}, method="POST"
    )
    try:
        return _ask(url, request)
    except HTTPError as error:
        if error.code not in (400, 401, 403):
            raise ProviderAway(f"{url}: status {error.code}") from None
        raise ProviderRefuses(error.code, _code_in(error)) from None


def check_address(url: str, *, allows_http: bool) -> None:
    """Raise ProviderAway unless it is https, or a provider on this machine in development."""
    try:
        parts = urlsplit(url)
    except ValueError:
        raise ProviderAway(f"{url} is no address") from None
    if parts.scheme != "https" and not (allows_http and parts.scheme == "http" and parts.hostname in _LOOPBACK):
        raise ProviderAway(f"{url} is not https")


def _ask(url: str, request: urllib.request.Request) -> dict[str, Any]:
    try:
        with _OPENER.open(request, timeout=TIMEOUT_SECONDS) as answer:
            content = json.loads(answer.read(_MOST_BYTES))
    except HTTPError:
        raise
    except (URLError, HTTPException, OSError, ValueError) as error:
        raise ProviderAway(f"{url}: {type(error).__name__}") from None
    if not isinstance(content, dict):
        raise ProviderAway(f"{url} is no JSON object")
    return content


def _code_in(error: HTTPError) -> str:
    """The refusal's code, where it is one of the standard: nothing else of a foreign text is told on."""
    try:
        code = json.loads(error.read(_MOST_BYTES)).get("error")
    except (HTTPException, OSError, ValueError, AttributeError):
        code = None
    return code if code in _CODES else "unknown"
