"""The shapes of keys, pauses and the audit log on the wire."""

from __future__ import annotations

from typing import Any, Literal

from pydantic import Field

from api.http.validation import GivenTime
from api.schemas.base import Shape, Time
from shared.access.api_keys import LONGEST_NOTE
from shared.access.roles import LONGEST_OWNER
from shared.pauses import LONGEST_REASON
from shared.status import Queue

Role = Literal["read", "predict", "bulk", "features", "operate", "admin"]


class Key(Shape):
    """An API key without itself: `prefix` is how it begins."""

    prefix: str = Field(examples=["pq_k3xT9aQw"])
    owner: str
    roles: list[Role]
    models: list[str] | None = Field(description="The models that it is for; null: all.")
    max_waiting_rows: int | None
    note: str | None
    created_at: Time
    expires_at: Time | None
    last_used_at: Time | None = Field(description="To within some minutes.")
    revoked_at: Time | None
    rotated_to: str | None = Field(description="How the key begins that took its place.")


class NewKey(Shape):
    """Whose key, and what it may do."""

    owner: str = Field(min_length=1, max_length=LONGEST_OWNER)
    roles: list[Role] = Field(default=["read", "predict", "bulk"], min_length=1)
    models: list[str] | None = Field(default=None, min_length=1, max_length=100)
    max_waiting_rows: int | None = Field(default=None, ge=1, le=2**53)
    expires_at: GivenTime | None = None
    note: str | None = Field(default=None, max_length=LONGEST_NOTE)


class MadeKey(Key):
    """A new key with itself, which is shown this once."""

    key: str
    unknown_models: list[str] = Field(description="Those of `models` that nobody has registered: misspelt, or to come.")


class Rotation(Shape):
    """For how long the old key goes on beside the new one; without it PREDICTQ_KEY_OVERLAP_SECONDS."""

    overlap_seconds: float | None = Field(default=None, ge=0, le=366 * 86_400)


NO_ROTATION = Rotation()


class RotatedKey(MadeKey):
    """The new key, and until when the old one goes on."""

    old_prefix: str
    old_expires_at: Time


class KeyList(Shape):
    """API keys, newest first, and the cursor of those that follow."""

    keys: list[Key]
    next: str | None


class NewPause(Shape):
    """What to hold back: a queue, a model, or the work of one model in one queue; and why."""

    queue: Queue | None = None
    model: str | None = Field(default=None, max_length=100)
    reason: str = Field(min_length=1, max_length=LONGEST_REASON)


class Pause(Shape):
    """What is held back, by whom, and why."""

    id: int
    queue: Queue | None
    model: str | None
    reason: str
    actor: str
    created_at: Time


class PauseList(Shape):
    """All that is held back."""

    pauses: list[Pause]


class Act(Shape):
    """A line of the audit log."""

    id: int
    at: Time
    actor_kind: str = Field(description="`api key`, `person`, `command line` or `upkeep`.")
    actor: str = Field(description="The owner of the key, or the `sub` of a person.")
    key: str | None = Field(description="How the API key begins that was used.")
    address: str | None
    action: str = Field(examples=["model.promote"])
    object: str | None
    before: dict[str, Any] | None
    after: dict[str, Any] | None
    reason: str | None
    call_id: str | None = Field(description="The `X-Request-ID` of the call.")


class ActList(Shape):
    """Lines, and the cursor of those that follow."""

    acts: list[Act]
    next: str | None
