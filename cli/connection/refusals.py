"""What the gateway refuses, in one line, and whether asking again may help."""

from __future__ import annotations

import httpx

from cli.errors import GatewayRefused
from cli.output.words import as_commands

_BUSY = (429, 503)  # the gateway names the seconds after which to come again
_SOON = ("idempotency-key-in-flight", "model-changed")  # of 409
_SHOWN_FLAWS = 5
_LISTED_BY = {"model-unknown": "`predictq models list`", "source-unknown": "`predictq sources list`"}


def is_passing(response: httpx.Response, *, is_submission: bool) -> bool:
    """Whether the same call may succeed soon."""
    if response.status_code == 409:  # our own first attempt is still being accepted, or a model has just gone live
        return is_submission and any(f"/problems/{kind}" in response.text for kind in _SOON)
    # A model goes live when somebody promotes one: that may be never.
    return response.status_code in _BUSY and "no-live-model" not in response.text


def asked_pause(response: httpx.Response) -> float | None:
    """The seconds after which the gateway wants to be asked again."""
    asked = response.headers.get("Retry-After", "")
    return float(asked) if asked.isdecimal() else None


def refusal_of(response: httpx.Response) -> GatewayRefused:
    """The problem document in one line."""
    try:
        problem = response.json()
    except ValueError:  # not predictq, or something between us and it
        return GatewayRefused(response.status_code, response.reason_phrase)
    detail = str(problem.get("detail") or problem.get("title") or response.reason_phrase)
    if response.status_code == 401:
        detail += " Set PREDICTQ_API_KEY; `predictq keys create NAME` makes a key, the very first one with `--first`."
    command = _LISTED_BY.get(str(problem.get("type", "")).rpartition("/")[2])
    if command and detail.count("There ") < 2:  # else they are named
        detail += f" {command} shows those that there are."
    flaws = problem.get("errors") or []
    told = [flaw for flaw in flaws if flaw.get("detail") and flaw["detail"] not in detail]
    more = "; ".join(f"{flaw.get('pointer') or ''} {flaw['detail']}".strip() for flaw in told[:_SHOWN_FLAWS])
    codes = [str(flaw.get("code", "")) for flaw in flaws]
    reasons = {flaw["reason"]: flaw.get("about") or {} for flaw in flaws if flaw.get("reason")}
    return GatewayRefused(response.status_code, as_commands(f"{detail} ({more})" if more else detail), codes, reasons)
