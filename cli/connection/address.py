"""Where the stack is: options, else the environment, else the stack.json of a `predictq up` at or above here."""

from __future__ import annotations

import os
from contextvars import ContextVar
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlsplit

from cli.errors import GatewayDown, NoStack, UsageProblem
from devstack.errors import NotRunning
from devstack.state import STATE_FILE, StackState, load_state
from shared.database_role import DatabaseRole

STACK_DIRECTORY = ".predictq"
TLS_VARIABLES = ("PREDICTQ_TLS_CA", "PREDICTQ_TLS_NAME")
_ROLES = tuple(role.variable for role in DatabaseRole)
_chosen: ContextVar[Path | None] = ContextVar("directory", default=None)


@dataclass(frozen=True, slots=True)
class ApiAddress:
    """The gateway, and the key to call it with."""

    url: str
    key: str | None
    tls_ca: str | None = None  # a file with the authority that its certificate is trusted by; None: this machine's own
    tls_name: str | None = None  # that its certificate is for; None: the host in the address

    @property
    def named_url(self) -> str:
        """For browsers and other programs, which ask for the certificate of the host that they call."""
        parts = urlsplit(self.url)
        if self.tls_name is None or parts.scheme != "https":
            return self.url
        return self.url.replace(parts.netloc, f"{self.tls_name}:{parts.port or 443}", 1)


def choose_directory(directory: Path | None) -> None:
    """Have all that follows use the stack of `directory`, over the environment and the place where we are."""
    _chosen.set(directory)


def chosen_directory() -> Path | None:
    """What `--directory` before the command has named; None where nothing has."""
    return _chosen.get()


def find_stack(start: Path | None = None) -> StackState | None:
    """The running stack of the chosen directory, else of `start` (default: here) or the nearest directory above it."""
    if chosen := _chosen.get():
        return _stack_of(chosen) or _stack_of(chosen / STACK_DIRECTORY)
    here = (start or Path.cwd()).resolve()
    return next(filter(None, (_stack_of(place / STACK_DIRECTORY) for place in (here, *here.parents))), None)


def stack_or_fail() -> StackState:
    """The running stack. Raises NoStack."""
    stack = find_stack()
    if stack is None:
        raise _no_stack("stack", "")
    return stack


def _stack_of(directory: Path) -> StackState | None:
    if not os.access(directory / STATE_FILE, os.R_OK):
        return None
    try:
        return load_state(directory)
    except NotRunning:  # it died without a word; one further up may be alive
        return None


def api_address(url: str | None, key: str | None) -> ApiAddress:
    """The gateway to call.

    Raises:
        NoStack: there is no stack here and no address was given.
        GatewayDown: the stack's gateway is not up, and its key is for nobody else.
        UsageProblem: the key has a sign that no key has.

    """
    key = _as_read(key)
    stack = find_stack()
    if _chosen.get() and url == os.environ.get("PREDICTQ_API_URL"):
        # Those of the environment are of another stack.
        url, key = None, None if url else key
    if url is None:
        if stack is None:
            raise _no_stack("gateway", "PREDICTQ_API_URL and PREDICTQ_API_KEY")
        return ApiAddress(stack.api_url, key or _own_key(stack), *_trust(stack))
    url = url.rstrip("/")
    # The local stack's key goes to nobody but the local stack.
    is_local = stack is not None and stack.api_url == url
    own = stack if is_local else None
    return ApiAddress(url, key or (_own_key(own) if own else None), *_trust(own))


def _as_read(key: str | None) -> str | None:
    """The key without the blanks and the line end of the file that it was read from."""
    key = (key or "").strip() or None
    if key and not all("!" <= sign <= "~" for sign in key):
        # Not repeated: whatever it is, it was meant to be a secret.
        raise UsageProblem("the API key (--api-key, PREDICTQ_API_KEY) has a sign in it that no key has: copy it again")
    return key


def known_gateway() -> ApiAddress | None:
    """The address of the gateway, where one is known; for calls without a key."""
    stack = find_stack()
    url = None if _chosen.get() else os.environ.get("PREDICTQ_API_URL", "").rstrip("/") or None
    if url is not None and (stack is None or stack.api_url != url):
        return ApiAddress(url, None, *_trust(None))
    return None if stack is None else ApiAddress(stack.api_url, None, *_trust(stack))


def _trust(stack: StackState | None) -> tuple[str | None, str | None]:
    """The authority and the name of a gateway's certificate: as the environment says, else as its stack does."""
    if stack is not None and _chosen.get():
        return stack.api_ca, stack.api_name  # what the environment says is of another stack
    authority, name = (os.environ.get(variable) or None for variable in TLS_VARIABLES)
    return authority or (stack.api_ca if stack else None), name or (stack.api_name if stack else None)


def _own_key(stack: StackState) -> str:
    if not stack.has_its_gateway():
        raise GatewayDown(stack.api_url)
    return stack.api_key


def fill_environment(*, redis: bool = False) -> None:
    """Set DATABASE_URL, and REDIS_URL too, from the stack where the environment lacks them or a directory was chosen.

    What else its services have comes with the first, where the environment says nothing of it.

    Raises:
        NoStack: there is no stack here and a variable is not set.

    """
    needed = ["DATABASE_URL", *(["REDIS_URL"] if redis else [])]
    missing = [name for name in needed if _chosen.get() or not os.environ.get(name)]
    stack = find_stack() if missing else None
    if missing and stack is None:
        raise _no_stack("database" if "DATABASE_URL" in missing else "Redis", " and ".join(missing))
    if stack is not None:
        os.environ.update({name: getattr(stack, name.lower()) for name in missing})
    if stack is not None and "DATABASE_URL" in missing:
        roles = {name: getattr(stack, name.removeprefix("PREDICTQ_").lower()) for name in _ROLES}
        os.environ.update({name: address for name, address in roles.items() if address})
        for name, value in stack.environment.items():
            os.environ.setdefault(name, value)


def _no_stack(what: str, variable: str) -> NoStack:
    chosen = _chosen.get()
    return NoStack(what, variable) if chosen is None else NoStack.at(what, chosen)
