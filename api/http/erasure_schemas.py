"""The shapes of erasures and exports on the wire. Nothing that is said of an erasure has the client key."""

from __future__ import annotations

from typing import Annotated, Literal
from uuid import UUID

from pydantic import Field, Strict

from api.http.schemas import Shape, Time

# Strictly: true is no number, and 5.0 no whole one.
Part = Annotated[int, Strict()] | Annotated[str, Strict()]
ClientId = Part | dict[str, Part]

_SOURCE = Field(
    None, max_length=100, description="The source that the client is of; may be left out where there is only one."
)
_REASON = Field(
    min_length=1, max_length=500, examples=["art. 17"], description="Why; it stays. It must not name the client."
)


class ClientOrder(Shape):
    """One client of a source: a number, a string, or an object for a composite key."""

    source: str | None = _SOURCE
    client_id: ClientId = Field(examples=[483920])


class AnswersOrder(ClientOrder):
    """One client, and of which model."""

    model: str | None = Field(default=None, max_length=100)


class ErasureOrder(ClientOrder):
    """Whom to erase, and why."""

    reason: str = _REASON


class KeptHash(Shape):
    """A line of erasures.log."""

    source: str = Field(max_length=100)
    hash: str = Field(pattern="^[0-9a-f]{64}$")


class ReplayOrder(Shape):
    """The hashes of persons who were erased before a restore."""

    erased: list[KeptHash] = Field(min_length=1, max_length=10_000)
    reason: str = _REASON


class Erasure(Shape):
    """An erasure as it stands; of a replay, `pages` have been gone through and `answers` persons found."""

    id: UUID
    kind: Literal["person", "replay"]
    source: str | None
    status: Literal["queued", "running", "done", "failed"]
    step: str
    pages: int
    answers: int
    reason: str
    actor: str
    error: str | None
    created_at: Time
    finished_at: Time | None
    compacted_at: Time | None


class ErasureList(Shape):
    """The newest erasures."""

    erasures: list[Erasure]
