"""Options that several commands share, each declared once."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

from cli.connection.address import api_address
from cli.output.console import plain_text, remark

if TYPE_CHECKING:
    from cli.connection.client import ApiClient

ApiUrl = Annotated[
    str | None,
    typer.Option(
        "--api-url", envvar="PREDICTQ_API_URL", help="The gateway; by default the `predictq up` of this directory."
    ),
]
IdempotencyKey = Annotated[
    str | None,
    typer.Option(
        "--idempotency-key", metavar="KEY", help="A word of yours: repeated with it, the command makes no second job."
    ),
]
ApiKeyText = Annotated[
    str | None,
    typer.Option("--api-key", envvar="PREDICTQ_API_KEY", help="The key to call it with; safer in the variable."),
]


def api_client(url: str | None, key: str | None, *, quiet: bool) -> ApiClient:
    """A client of the gateway that the options, the environment or the stack here name. Raises NoStack."""
    from cli.connection.client import ApiClient  # noqa: PLC0415 - httpx takes 0.1 s to import, and `--help` needs none of it

    def tell(why: Exception) -> None:
        remark(f"trying again: {plain_text(why)}")

    return ApiClient(api_address(url, key)) if quiet else ApiClient(api_address(url, key), on_pause=tell)
