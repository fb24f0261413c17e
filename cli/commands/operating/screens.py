"""`predictq open`: a link into the screens."""

# ruff: noqa: PLC0415 - httpx takes 0.1 s to import, which `predictq --help` must not wait for

from __future__ import annotations

import webbrowser
from typing import Annotated

import typer

from cli.arguments.options import ApiKeyText, ApiUrl, api_client
from cli.output.console import AsJson, plain_text, remark, say, say_json


def open_screens(
    browser: Annotated[bool, typer.Option("--browser", help="Open it here, too.")] = False,
    as_json: AsJson = False,
    api_url: ApiUrl = None,
    api_key: ApiKeyText = None,
) -> None:
    """Print a link that signs a browser in once, as your API key."""
    from cli.connection.sign_in_link import sign_in_link

    with api_client(api_url, api_key, quiet=as_json) as client:
        link, hours = sign_in_link(client)
    if as_json:
        say_json({"url": link, "hours": hours})
    else:
        say(plain_text(link))
        remark(f"It works once, within {hours} hours, for whoever opens it first.")
    if browser:
        webbrowser.open(link)
