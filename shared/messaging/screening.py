"""What of Redis is let through to Celery: exactly our own messages, made anew. Whoever writes to Redis is not believed.

A message says only that a queue has work. So one that is ours to the last field is replaced by a fresh one, and any
other is dropped before kombu or Celery sees it: a strange type in a header used to end every worker that took it.
"""

from __future__ import annotations

import base64
import binascii
import json
from typing import Any
from uuid import UUID

from shared.messaging.messages import work_message
from shared.status import Queue

MOST_BYTES = 4096  # ours have about 900
MOST_ENVELOPE_BYTES = 1024 * 1024  # answers to a ping, and what Flower reads of a worker
_CONTROL = "celery.pidbox"
PING = frozenset({"ping"})
FLOWERS = frozenset({
    "ping", "stats", "active_queues", "registered", "scheduled", "active", "reserved", "revoked", "conf",
    "enable_events",
})  # fmt: skip


def screen_work(item: bytes, queue: str) -> dict[str, Any] | None:
    """A fresh message that this queue has work, where `item` is one that we wrote; else None."""
    if len(item) > MOST_BYTES:
        return None
    found = _json(item)
    try:
        expected = work_message(Queue(queue))
        headers, properties = found["headers"], found["properties"]
        for key in ("id", "root_id"):
            expected["headers"][key] = str(UUID(headers[key]))
        expected["headers"]["origin"] = _origin(headers["origin"])
        expected["properties"]["correlation_id"] = str(UUID(properties["correlation_id"]))
        expected["properties"]["delivery_tag"] = str(UUID(properties["delivery_tag"]))
        is_ours = json.dumps(found, sort_keys=True) == json.dumps(expected, sort_keys=True)
    except (KeyError, TypeError, ValueError, AttributeError, RecursionError):
        return None
    return work_message(Queue(queue)) if is_ours else None


def _origin(text: str) -> str:
    if len(text) > 200 or not text.isprintable():
        raise ValueError(text)
    return text


def screen_broadcast(item: bytes, exchange: str, allowed: frozenset[str]) -> dict[str, Any] | None:
    """A message that goes to all: of remote control a call of an `allowed` method and nothing around it; else None."""
    found = screen_envelope(item)
    if found is None or not exchange.endswith(_CONTROL):
        return found
    try:
        body = json.loads(base64.b64decode(found["body"], validate=True))
        call = _call(body, allowed)
    except (KeyError, TypeError, ValueError, RecursionError, binascii.Error):
        return None
    found["body"] = base64.b64encode(json.dumps(call).encode()).decode()
    clock = found["headers"].get("clock")
    found["headers"] = {"clock": clock if type(clock) is int and 0 <= clock < 2**53 else 0}
    return found


def _call(body: Any, allowed: frozenset[str]) -> dict[str, Any]:
    """The call of a control message, of what is expected alone. Raises KeyError, TypeError, ValueError."""
    if body["method"] not in allowed:
        raise ValueError("method")
    destination = body.get("destination")
    if destination is not None and not (isinstance(destination, list) and all(isinstance(n, str) for n in destination)):
        raise ValueError("destination")
    reply = body.get("reply_to")
    if reply is not None:
        exchange, key = reply["exchange"], reply["routing_key"]
        reply = {"exchange": _origin(exchange), "routing_key": _origin(key)}
    call: dict[str, Any] = {"method": body["method"], "arguments": _arguments(body), "destination": destination}
    ticket = body.get("ticket")
    return {**call, "reply_to": reply, "ticket": None if ticket is None else str(UUID(ticket))}


def _arguments(body: Any) -> dict[str, Any]:
    """Two of Flower's calls have some: whether they are hard to show, which is all that is let through."""
    given = body.get("arguments") or {}
    known = {"safe": False, "with_defaults": False}
    return {name: given[name] for name in known if type(given.get(name)) is bool} if isinstance(given, dict) else {}


def screen_envelope(item: bytes) -> dict[str, Any] | None:
    """A message of any kind as kombu can take it apart: a JSON body in base64, with the properties that it reads."""
    if len(item) > MOST_ENVELOPE_BYTES:
        return None
    found = _json(item)
    try:
        properties = found["properties"]
        info = properties["delivery_info"]
        is_whole = (
            found["content-type"] == "application/json"
            and found["content-encoding"] == "utf-8"
            and isinstance(found["body"], str)
            and isinstance(found["headers"], dict)
            and properties["body_encoding"] == "base64"
            and isinstance(properties["delivery_tag"], str)
            and isinstance(info["exchange"], str)
            and isinstance(info["routing_key"], str)
        )
        json.loads(base64.b64decode(found["body"], validate=True))
    except (KeyError, TypeError, ValueError, AttributeError, RecursionError, binascii.Error):
        return None
    if not is_whole:
        return None
    named = {name: found[name] for name in ("body", "content-type", "content-encoding", "headers")}
    return {**named, "properties": {name: properties[name] for name in _PROPERTIES if name in properties}}


_PROPERTIES = (
    "delivery_tag",
    "delivery_info",
    "body_encoding",
    "delivery_mode",
    "priority",
    "correlation_id",
    "reply_to",
)


def _json(item: bytes) -> Any:
    try:
        return json.loads(item)
    except (ValueError, RecursionError):
        return None
