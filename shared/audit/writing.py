"""The audit log: who did what, when, and what was before and after. It is written in the transaction of the act."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from sqlalchemy import Connection, bindparam, text
from sqlalchemy.dialects.postgresql import JSONB


def record_act(
    connection: Connection,
    actor_kind: str,
    actor: str,
    action: str,
    object: str | None = None,  # noqa: A002 - the column's name
    before: Mapping[str, Any] | None = None,
    after: Mapping[str, Any] | None = None,
    reason: str | None = None,
    address: str | None = None,
    call_id: str | None = None,
    key_id: int | None = None,
) -> None:
    """Add a line in the transaction of the act itself: both are kept, or neither.

    `actor_kind` says how the actor is known ("api key", "person", "command line", "upkeep"). No client key may be in
    any of the arguments: the log is append-only, and no erasure reaches it.
    """
    values = {
        "actor_kind": actor_kind,
        "actor": actor,
        "key_id": key_id,
        "action": action,
        "object": object,
        "before": None if before is None else dict(before),
        "after": None if after is None else dict(after),
        "reason": reason,
        "address": address,
        "call_id": call_id,
    }
    connection.execute(_RECORD, values)


_RECORD = text("""
INSERT INTO predictq.audit_log (actor_kind, actor, key_id, address, action, object, before, after, reason, call_id,
                                epoch)
SELECT :actor_kind, :actor, :key_id, :address, :action, :object, :before, :after, :reason, :call_id,
       coalesce((SELECT epoch FROM predictq.installation), 1)
""").bindparams(bindparam("before", type_=JSONB(none_as_null=True)), bindparam("after", type_=JSONB(none_as_null=True)))
