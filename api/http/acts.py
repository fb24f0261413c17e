"""What a caller of a route did, in the audit log."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from sqlalchemy import Connection
from starlette.requests import Request

from api.access.caller import Caller
from api.server.middleware import REQUEST_ID
from shared.audit.writing import record_act


def record(
    connection: Connection,
    request: Request,
    caller: Caller,
    action: str,
    what: str | None,
    *,
    before: Mapping[str, Any] | None = None,
    after: Mapping[str, Any] | None = None,
    reason: str | None = None,
) -> None:
    """Add a line in the transaction of the act. No client key may be in any of the arguments."""
    record_act(
        connection,
        caller.actor_kind,
        caller.actor,
        action,
        object=what,
        before=before,
        after=after,
        reason=reason,
        address=request.client.host if request.client else None,
        call_id=request.scope[REQUEST_ID].decode(),
        key_id=caller.key_id,
    )
