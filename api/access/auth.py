"""Who calls: API keys, looked up once and remembered for so short a time that a revocation works soon."""

from __future__ import annotations

import hashlib
import time
from collections import OrderedDict
from collections.abc import Awaitable, Callable, Coroutine, Iterator, Sequence
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass
from functools import partial
from typing import Any

from api.access.caller import Caller, caller_of, person_caller
from api.access.failed_keys import FailedKeys
from api.access.long_calls import note_seen
from api.access.oidc.person import TokenExpired, TokenRefused
from api.access.oidc.token_threads import TokenThreads
from api.http.problems import FAILED_KEYS, Problem, Unauthorised
from api.server.coalescer import Coalescer, each_alone
from api.server.database_threads import PATIENCE_SECONDS, DatabaseThreads, late, read_twice
from api.server.shared_tasks import SharedTasks
from shared.access.api_keys import PREFIX, ApiKey, find_key
from shared.access.roles import ALL_ROLES

_REMEMBER_SECONDS = 3.0
_ASK_AGAIN_SECONDS = 1.5  # after which a key in use is looked up anew while what is known still answers
_REMEMBERED = 10_000  # keys, good and bad; then the bad are forgotten, so that made-up keys cannot fill the memory
_MOST = 64  # keys looked up on one connection, one after the other


@dataclass(frozen=True, slots=True)
class Validity:
    """A way to ask, also much later, whether what a caller came with still counts."""

    came_with: bytes  # the same for calls with one API key, and for those of one session; nothing can be read out of it
    is_valid: Callable[[], Awaitable[bool]]


@dataclass(frozen=True, slots=True)
class Acting:
    """Somebody whom a screen calls for, for as long as the session counts."""

    caller: Caller
    validity: Validity


_acting: ContextVar[Acting | None] = ContextVar("acting", default=None)


@contextmanager
def acting_as(acting: Acting) -> Iterator[None]:
    """Calls made in this block, within the process, are this caller's: a screen calls for whoever is signed in."""
    token = _acting.set(acting)
    try:
        yield
    finally:
        _acting.reset(token)


_ANONYMOUS = Caller("anonymous", ALL_ROLES)


_UNKNOWN = "This API key is unknown, has expired or was revoked."


@dataclass(frozen=True, slots=True)
class _Known:
    """What a look-up found, and until when it counts."""

    caller: Caller | None
    ask_again_at: float
    ends_at: float
    why_not: str = _UNKNOWN
    is_expired: bool = False  # a token that was good until its time was over


class _Expired(Unauthorised):
    """A token that was good until its time was over."""


class Auth:
    """Turns an Authorization header into a Caller."""

    def __init__(
        self, threads: DatabaseThreads, *, disabled: bool, failed_keys: FailedKeys, people: TokenThreads | None = None
    ) -> None:
        """With `people` tokens of their identity provider count as well as API keys."""
        self._threads = threads
        self._people = people
        self._disabled = disabled
        self._failed_keys = failed_keys
        self._good: OrderedDict[bytes, None] = OrderedDict()  # keys that were good when they were looked up last
        self._known: dict[bytes, _Known] = {}
        self._asking = SharedTasks[bytes, _Known]()  # hundreds of callers may share one key
        self._used: set[int] = set()
        self._look_ups: Coalescer[str, ApiKey | None] = Coalescer(
            each_alone(self._find),
            threads.executor,
            max_items=_MOST,
            patience_seconds=PATIENCE_SECONDS,
            make_late_error=late,
        )

    @property
    def anonymous(self) -> Caller | None:
        """Who calls without a key; None where everybody needs one."""
        return _ANONYMOUS if self._disabled else None

    def validity_of(self, caller: Caller, header: bytes | None, address: str) -> Validity:
        """Whether what `caller` came with still counts: it may be asked anywhere."""
        if (acting := _acting.get()) is not None:
            return acting.validity

        return Validity(hashlib.sha256(header or b"").digest(), partial(self._is_still, caller, header, address))

    async def _is_still(
        self, caller: Caller, header: bytes | None, address: str, *, though_expired: bool = False
    ) -> bool:
        try:
            return (await self.caller(header, address)).owner == caller.owner
        except _Expired:
            return though_expired
        except Problem:  # no longer a key, or its address has come with too many that are none
            return False

    async def caller(self, header: bytes | None, address: str) -> Caller:
        """The owner of the key in the header of a call from this address.

        Raises Unauthorised, Problem 429 where the address has come with too many keys that are none, or
        DatabaseUnavailable. A key that was good until now is looked up whatever else comes from its address.
        """
        if (acting := _acting.get()) is not None:
            note_seen(acting.validity.is_valid)
            return acting.caller
        if self._disabled:
            return _ANONYMOUS
        if header is None:
            raise Unauthorised("Send your API key as `Authorization: Bearer pq_…`.")
        digest = hashlib.sha256(header).digest()
        known = self._known.get(digest)
        now = time.monotonic()
        if known is None or known.ends_at <= now or known.caller is None:
            known = await self._find_out(known, now, digest, header, address)
        elif known.ask_again_at <= now:
            self._asking.begin(digest, self._looking_up(digest, header))
        if known.caller is None:
            self._failed_keys.note(address)
            raise (_Expired if known.is_expired else Unauthorised)(known.why_not)
        note_seen(partial(self._is_still, known.caller, header, address, though_expired=True))
        return known.caller

    def refuse_guessing(self, address: str) -> None:
        """Raise Problem 429 where too much has come from this address that signs nobody in."""
        if self.is_guessing(address):
            detail = "Too many keys or tokens that are none have come from your address. Wait, and check yours."
            raise Problem(FAILED_KEYS, detail)

    def is_guessing(self, address: str) -> bool:
        """Whether too much has come from this address that signs nobody in; what comes is counted as refused then."""
        return self._failed_keys.is_over(address)

    def note_failure(self, address: str) -> None:
        """Something came from this address that signs nobody in."""
        self._failed_keys.note(address)

    async def _find_out(self, known: _Known | None, now: float, digest: bytes, header: bytes, address: str) -> _Known:
        """Look a key up that is not known to be good, unless its address has failed too often."""
        if digest not in self._good:
            self.refuse_guessing(address)
        if known is not None and known.ends_at > now:
            return known
        return await self._asking.ask(digest, self._looking_up(digest, header))

    def take_used(self) -> set[int]:
        """The ids of the API keys that were looked up since this was asked last; one in use is, every few seconds."""
        used, self._used = self._used, set()
        return used

    def _looking_up(self, digest: bytes, header: bytes) -> Callable[[], Coroutine[Any, Any, _Known]]:
        return lambda: self._look_up(digest, _key_of(header))

    async def _look_up(self, digest: bytes, key: str) -> _Known:
        caller, why_not, is_expired = None, _UNKNOWN, False
        if self._people is not None and not key.startswith(PREFIX):
            try:
                caller = person_caller(await self._people.person(key))
            except TokenRefused as error:
                why_not, is_expired = str(error), isinstance(error, TokenExpired)
        elif (found := await self._look_ups.submit(key)) is not None:
            self._used.add(found.id)
            caller = caller_of(found)
        self._remember(digest, is_good=caller is not None)
        now = time.monotonic()
        ask_again_at, ends_at = now + _ASK_AGAIN_SECONDS, now + _REMEMBER_SECONDS
        entry = self._known[digest] = _Known(caller, ask_again_at, ends_at, why_not, is_expired)
        return entry

    def _remember(self, digest: bytes, *, is_good: bool) -> None:
        if is_good:
            self._good[digest] = None
            self._good.move_to_end(digest)
            if len(self._good) > _REMEMBERED:
                self._good.popitem(last=False)
        else:
            self._good.pop(digest, None)
        if len(self._known) >= _REMEMBERED:
            good = {known: entry for known, entry in self._known.items() if entry.caller is not None}
            self._known = good if len(good) < _REMEMBERED // 2 else {}

    def _find(self, keys: Sequence[str]) -> list[ApiKey | None]:
        return read_twice(self._threads, lambda connection: [find_key(connection, key) for key in keys])


def _key_of(header: bytes) -> str:
    scheme, _, key = header.decode("latin-1").strip().partition(" ")
    if scheme.lower() != "bearer" or not key.strip():
        raise Unauthorised("The Authorization header must read `Bearer` and an API key.")
    return key.strip()
