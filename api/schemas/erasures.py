"""The shapes of erasures and exports on the wire. Nothing that is said of an erasure has the client key."""

from __future__ import annotations

from typing import Annotated, Any, Literal, Self
from uuid import UUID

from pydantic import Field, Strict, model_validator

from api.schemas.base import Shape, Time
from shared.pages.request_id import FORM as REQUEST_ID

# Strictly: true is no number, and 5.0 no whole one.
Part = Annotated[int, Strict()] | Annotated[str, Strict()]
ClientId = Part | dict[str, Part]

_SOURCE = Field(
    None, max_length=100, description="The source that the client is of; may be left out where there is only one."
)
_REASON = Field(
    min_length=1, max_length=500, examples=["art. 17"], description="Why; it stays. It must not name the client."
)


class OfSource(Shape):
    """Where somebody is a client."""

    source: str | None = _SOURCE
    no_source: bool = Field(
        False, description="In place of `source`: she is a client of models without one, as calls named her."
    )

    @model_validator(mode="after")
    def _name_one_source(self) -> Self:
        if self.no_source and self.source is not None:
            raise ValueError("give source or no_source, not both")
        return self


class ClientOrder(OfSource):
    """One client of a source: a number, a string, or an object for a composite key."""

    client_id: ClientId = Field(examples=[483920])


class NamedClient(Shape):
    """One client by her key or by its hash, as an earlier list of her answers gave it."""

    client_id: ClientId | None = Field(default=None, examples=[483920])
    client_hash: str | None = Field(default=None, pattern="^[0-9a-f]{16}$", description="In place of `client_id`.")

    @model_validator(mode="after")
    def _name_one(self) -> Self:
        if (self.client_id is None) == (self.client_hash is None):
            raise ValueError("give exactly one of client_id and client_hash")
        return self


class AnswersOrder(OfSource, NamedClient):
    """One client, and of which model the answers are wanted."""

    model: str | None = Field(default=None, max_length=100)
    limit: int = Field(default=100, ge=1, le=1000, description="The most to give.")
    cursor: str | None = Field(
        default=None,
        pattern=f"^{REQUEST_ID}$",
        description="Go on after a page: its `next`, the id of its last answer.",
    )


class FeaturesOrder(NamedClient):
    """One client of the model's source, and the model whose features are wanted."""

    model: str | None = Field(default=None, max_length=100, description="The default model where it is left out.")


class ClientFeatures(Shape):
    """What the source has of a client at this moment."""

    model: str
    model_version: int
    source: str
    found: bool = Field(description="Whether the source has the client.")
    features: dict[str, Any] = Field(description="By name; a column that is gone is left out.")


class ErasureOrder(ClientOrder):
    """Whom to erase, and why."""

    reason: str = _REASON


class KeptHash(Shape):
    """A line of erasures.log."""

    source: str = Field(max_length=100)
    hash: str = Field(pattern="^[0-9a-f]{64}$")
    secret: str | None = Field(
        None, pattern="^[0-9a-f]{16}$", description="Which secret made the hash: with another one the replay fails."
    )


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


class OtherSource(Shape):
    """Another source where the client may stand: an erasure there is asked for by itself."""

    source: str | None = Field(description="Null: models without a source; ask with `no_source`.")
    is_same_table: bool = Field(description="Whether it is over the same table as the erasure's source.")
    answers: int = Field(description="Stored under the same key. Whether they are hers, only you know.")


class AskedErasure(Erasure):
    """An erasure that was asked for, and what it does not reach."""

    elsewhere: list[OtherSource]


class ErasureList(Shape):
    """The newest erasures."""

    erasures: list[Erasure]
