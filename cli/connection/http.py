"""HTTP to a gateway that is trusted as its address says: certificates are always checked."""

from __future__ import annotations

import ssl
from typing import Any

import httpx

from cli.connection.address import ApiAddress
from cli.errors import UsageProblem


def open_http(address: ApiAddress, **options: Any) -> httpx.Client:
    """A client for this gateway; `options` are httpx's. Raises UsageProblem where the authority's file is none."""
    hooks = {"request": [_called(address.tls_name)]} if address.tls_name else {}
    return httpx.Client(base_url=address.url, verify=_trust(address), event_hooks=hooks, **options)


def _trust(address: ApiAddress) -> ssl.SSLContext:
    """The authority that is named, else those that this machine knows."""
    if not address.url.startswith("https:"):
        return ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)  # made at once, and it trusts nobody
    try:
        return ssl.create_default_context(cafile=address.tls_ca or None)
    except (OSError, ssl.SSLError) as error:
        told = f"{address.tls_ca} (--tls-ca or PREDICTQ_TLS_CA)"
        raise UsageProblem(f"{told} is no certificate of an authority (PEM): {error}") from None


def _called(name: str) -> Any:
    def call(request: httpx.Request) -> None:
        request.extensions["sni_hostname"] = name  # what the certificate must be for

    return call
