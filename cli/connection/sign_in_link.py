"""A link that signs a browser in once, as the API key of whoever asks."""

from __future__ import annotations

from cli.connection.client import ApiClient


def sign_in_link(client: ApiClient) -> tuple[str, int]:
    """The whole address, and for how many hours it can be opened. Raises GatewayAway or GatewayRefused."""
    made = client.call("POST", "/v1/sign-in-links", {})
    return f"{client.named_url}{made['path']}", int(made["hours"])
