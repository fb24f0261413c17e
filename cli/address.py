"""Where the stack is: an option, else the environment, else the stack.json of a `predictq up` at or above here."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path

from cli.errors import NoStack
from devstack.errors import NotRunning
from devstack.state import STATE_FILE, StackState, load_state

STACK_DIRECTORY = ".predictq"


@dataclass(frozen=True, slots=True)
class ApiAddress:
    """The gateway, and the key to call it with."""

    url: str
    key: str | None


def find_stack(start: Path | None = None) -> StackState | None:
    """The running stack whose directory is in `start` (default: here) or the nearest directory above it."""
    here = (start or Path.cwd()).resolve()
    for place in (here, *here.parents):
        directory = place / STACK_DIRECTORY
        if os.access(directory / STATE_FILE, os.R_OK):
            try:
                return load_state(directory)
            except NotRunning:  # it died without a word; one further up may be alive
                continue
    return None


def api_address(url: str | None, key: str | None) -> ApiAddress:
    """The gateway to call.

    Raises:
        NoStack: there is no stack here and no address was given.

    """
    stack = find_stack()
    if url is None:
        if stack is None:
            raise NoStack("gateway", "PREDICTQ_API_URL and PREDICTQ_API_KEY")
        return ApiAddress(stack.api_url, key or stack.api_key)
    # The local stack's key goes to nobody but the local stack.
    is_local = stack is not None and stack.api_url == url.rstrip("/")
    return ApiAddress(url.rstrip("/"), key or (stack.api_key if stack and is_local else None))


def fill_environment(*, redis: bool = False) -> None:
    """Set DATABASE_URL, and REDIS_URL too, from the stack where the environment lacks them.

    Raises:
        NoStack: there is no stack here and a variable is not set.

    """
    needed = ["DATABASE_URL", *(["REDIS_URL"] if redis else [])]
    missing = [name for name in needed if not os.environ.get(name)]
    stack = find_stack() if missing else None
    if missing and stack is None:
        raise NoStack("database" if "DATABASE_URL" in missing else "Redis", " and ".join(missing))
    if stack is not None:
        os.environ.update({name: getattr(stack, name.lower()) for name in missing})
