"""What the calls that create jobs have in common: who calls, the Idempotency-Key, `Prefer: wait`, and the answer."""

from __future__ import annotations

import hashlib
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Any
from uuid import UUID

from starlette.requests import Request
from starlette.responses import Response

from api.access.caller import Caller
from api.access.caps import TooManyAtOnce
from api.access.long_calls import need_still_valid
from api.http.problems import FORBIDDEN, Problem, Unauthorised
from api.http.requests import Headers, address_of, headers_of, idempotency_key, wait_seconds
from api.jobs.job_json import accepted_response, job_response
from api.jobs.waiting import HasLeft
from api.server.services import Services, services_of
from shared.errors import (
    DatabaseUnavailable,
    Erased,
    IdempotencyKeyInFlight,
    IdempotencyKeyReused,
    ModelChanged,
    PredictqError,
)
from shared.jobs.accepting.singles import Accepted

AskedLater = Callable[[], Awaitable[bytes | None]]  # what was asked; None where the call did not get so far

# What an earlier job does not change: the key was looked at already, or the caller may not, or not now.
_FINAL = (
    DatabaseUnavailable,
    Erased,
    IdempotencyKeyInFlight,
    IdempotencyKeyReused,
    ModelChanged,
    TooManyAtOnce,
    Unauthorised,
)


@dataclass(frozen=True, slots=True)
class KeyedCall:
    """A call that may be repeated without harm."""

    services: Services
    headers: Headers
    caller: Caller
    key: str | None  # its Idempotency-Key
    wait_seconds: int  # 0: do not wait
    has_left: HasLeft  # whether the caller has hung up

    def payload_hash(self, route: str, asked: bytes) -> str | None:
        """What tells another payload or route under the same key: SHA-256 in hex; None without a key.

        `asked` is what the caller sent, in one spelling, and depends on no model.
        """
        return self.key and hashlib.sha256(b"%b\n%b" % (route.encode(), asked)).hexdigest()

    async def new_job_id(self) -> UUID:
        """The id of a job that is about to be accepted. Raises Unauthorised where the key ended while the body came."""
        await need_still_valid()
        return await self.services.job_ids.new()

    async def earlier(self, route: str, asked: bytes) -> Accepted | None:
        """The job that this call repeats. Raises IdempotencyKeyReused, Erased or DatabaseUnavailable."""
        found = await self.services.intake.idempotency.earlier(
            self.caller.owner, self.key, self.payload_hash(route, asked)
        )
        if isinstance(found, PredictqError):
            raise found
        return found

    async def or_earlier(self, accepting: Awaitable[Accepted], route: str, asked: bytes | AskedLater) -> Accepted:
        """What `accepting` accepts; where it is refused, the job that this call repeats.

        What was accepted under a key stays accepted, whatever model is live by now, and whatever became of its source.
        Looked up only on a refusal. Raises what `accepting` does where there is no such job, and what `earlier` does.
        """
        try:
            return await accepting
        except _FINAL:
            raise
        except (PredictqError, Problem) as refusal:
            is_forbidden = isinstance(refusal, Problem) and refusal.kind == FORBIDDEN
            if is_forbidden or not await self._is_known():
                raise
            payload = asked if isinstance(asked, bytes) else await asked()
            found = None if payload is None else await self.earlier(route, payload)
            if found is None:
                raise
            return found

    async def _is_known(self) -> bool:
        """Whether the key has led to a job, of whatever payload."""
        return await self.services.intake.idempotency.earlier(self.caller.owner, self.key, None) is not None

    async def answer(self, accepted: Accepted, client_id: Any = None, key: str | None = None, **more: Any) -> Response:
        """The job that was accepted, once it has ended or the caller waits no longer.

        Raises what `Statuses` does, and Unauthorised where the key ended while the caller waited.

        Of a single one `client_id` is what the caller wrote, `key` its canonical form where that differs; `more` are
        the name and the deadline of the job.
        """
        waited = self.wait_seconds
        if not waited and accepted.created_at is not None and accepted.request_id is not None and key is None:
            return accepted_response(accepted, client_id)
        job = await self.services.statuses.after(accepted, self.caller, client_id, key, **more)
        if waited:
            try:
                with self.services.caps.waiters.place(self.caller):
                    job = await self.services.waiting.wait(job, waited, self.has_left)
            except TooManyAtOnce:  # there was room when the call came: what was accepted is told, without a wait
                waited = 0
        if waited or accepted.replayed:
            await need_still_valid()
        return job_response(job, waited, replayed=accepted.replayed)


async def keyed_call(request: Request, role: str) -> KeyedCall:
    """Read what does not depend on the body, of a caller with this API role.

    Raises Unauthorised, Problem 403, Invalid or DatabaseUnavailable.
    """
    services = services_of(request)
    headers = headers_of(request)
    caller = await services.auth.caller(headers.get(b"authorization"), address_of(request))
    caller.need(role)
    seconds = wait_seconds(request, headers)
    if seconds:
        services.caps.waiters.check(caller)  # before anything is accepted
    return KeyedCall(services, headers, caller, idempotency_key(headers), seconds, request.is_disconnected)
