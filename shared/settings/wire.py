"""The settings of the gateway's connections: what a caller may send, how slowly, and how many may be open."""

from __future__ import annotations

from pydantic import Field, field_validator
from pydantic_settings import BaseSettings

from shared.addresses import trusted_networks


class WireSettings(BaseSettings):
    """Part of `Settings`. The defaults suit a gateway that strangers can reach."""

    trusted_proxies: str = Field(
        "",
        description="Proxies whose X-Forwarded-For is believed: addresses, networks, or `unix`, with commas between.",
    )
    max_request_line_bytes: int = Field(
        8 * 1024, ge=1024, le=64 * 1024, description="Bytes of a request's first line, above which it is answered 414."
    )
    max_head_bytes: int = Field(
        32 * 1024,
        ge=4096,
        le=256 * 1024,
        description="Bytes of a request's line and headers together, above which it is answered 431.",
    )
    max_headers: int = Field(100, ge=20, le=1000, description="Headers of a request, above which it is answered 431.")
    head_seconds: float = Field(
        10, gt=0, le=600, description="Time for a request's line and headers to come; then it is answered 408."
    )
    body_bytes_per_second: int = Field(
        240, ge=1, le=1_000_000, description="How fast a body must come, on average over body_pause_seconds."
    )
    body_pause_seconds: float = Field(
        30, gt=0, le=3600, description="How long a body may pause, and the time over which its rate is averaged."
    )
    idle_seconds: float = Field(
        75, gt=0, le=3600, description="How long a connection may lie idle between two calls before it is closed."
    )
    unread_seconds: float = Field(
        60, gt=0, le=3600, description="How long a caller may take nothing of an answer before the connection is cut."
    )
    max_connections: int = Field(
        2000, ge=10, le=100_000, description="Open connections of one gateway; more are answered 503."
    )
    max_connections_per_address: int = Field(
        512, ge=1, le=100_000, description="The same from one address, or one IPv6 /64; trusted proxies may have more."
    )
    health_connections: int = Field(
        16, ge=1, le=1000, description="Connections beyond max_connections that are answered on /health alone."
    )
    refusals_per_second: int = Field(
        100,
        ge=1,
        le=1_000_000,
        description="Calls of an address that may be refused in a second, or ask for health or metrics; beyond them "
        "its connections are read later.",
    )
    refused_body_bytes: int = Field(
        64 * 1024, ge=0, le=10_000_000, description="Bytes that are still read of a body whose call has its answer."
    )

    @field_validator("trusted_proxies")
    @classmethod
    def _read_trusted_proxies(cls, given: str) -> str:
        trusted_networks(given)
        return given
