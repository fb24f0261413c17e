"""`predictq storage`: what is stored, by model and month, and when the disk is full."""

from __future__ import annotations

from typing import Any

from cli.arguments.options import ApiKeyText, ApiUrl, api_client
from cli.commands.stored.retention import size_text
from cli.output.console import AsJson, remark, say, say_json, say_table


def storage(api_url: ApiUrl = None, api_key: ApiKeyText = None, as_json: AsJson = False) -> None:
    """Show bytes by model and month, growth per day, and when the disk is full at that rate."""
    with api_client(api_url, api_key, quiet=as_json) as client:
        stored = client.call("GET", "/v1/storage")
    if as_json:
        say_json(stored)
        return
    rows = [
        (one["model"], one["month"][:7], f"{one['answers']:,}", size_text(one["bytes"]), _each(one))
        for one in stored["months"]
    ]
    headers = ("model", "month", "rows", "size", "each")
    say_table(headers, rows, right=frozenset(headers[2:]))
    say(f"{size_text(stored['total_bytes'])} in all, of which {size_text(stored['other_bytes'])} are other tables.")
    say(f"{size_text(stored['bytes_per_day'])} more each day. {_outlook(stored)}")
    if stored["free_bytes"] is None:
        remark("Set PREDICTQ_DISK_BYTES for the gateway, and this command says when the disk is full.")


def _each(month: dict[str, Any]) -> str:
    return f"{month['bytes'] / month['answers']:.0f} B" if month["answers"] else ""


def _outlook(stored: dict[str, Any]) -> str:
    if stored["free_bytes"] is None:
        return "The free room on the disk is not known."
    free = f"{size_text(stored['free_bytes'])} are free"
    if stored["days_left"] is None:
        return f"{free}."
    return f"{free}: enough for {stored['days_left']:,.0f} days at that rate."
