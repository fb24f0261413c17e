"""What can be wrong with an erasure or an export of one client, by name. No text here holds a client key."""

from __future__ import annotations

from uuid import UUID

from shared.errors import PredictqError
from shared.sentences import count_of


class ErasureError(PredictqError):
    """Base of every error about erasures."""


class ClientKeyRefused(ErasureError):
    """The given client key cannot be a key of the source."""

    def __init__(self, detail: str) -> None:
        super().__init__(f"client_id {detail}.")


class ClientNotFound(ErasureError):
    """No answered page has a client of this hash that the caller may see, or none has any more."""

    def __init__(self) -> None:
        super().__init__("There is no answer of such a client, or it was erased or has gone by its age.")


class ErasureUnknown(ErasureError):
    """No erasure has this id."""

    def __init__(self, erasure_id: object) -> None:
        super().__init__(f"There is no erasure {str(erasure_id)[:80]}.")


class ClientHeld(ErasureError):
    """A legal hold keeps what is to be erased."""

    def __init__(self, hold_id: int, kind: str, *, erased: int | None = None) -> None:
        """`erased`: how many answers were erased before the hold came; None where the erasure had not begun."""
        done = "Nothing was erased."
        if erased is not None:
            done = (
                f"It had begun: {count_of(erased, 'answer')} had been erased before the hold came, and nothing since."
            )
        super().__init__(f"Hold {hold_id} on {_HELD[kind]} forbids this erasure. {done} Release the hold first.")
        self.hold_id = hold_id
        self.kind = kind


_HELD = {
    "client": "this client",
    "model": "a model that has answered for this client",
    "job": "a job that holds this client",
}


class NoHashSecret(ErasureError):
    """The secret of the hashes that are kept outside the database is not there."""

    def __init__(self) -> None:
        super().__init__(
            "The secret that erased keys are hashed with is missing: set PREDICTQ_ERASURE_DIRECTORY for the upkeep "
            "process to the directory that holds erasures.secret, and start the replay again."
        )


class ErasureLogRefused(ErasureError):
    """A line of a log of erasures cannot be read."""

    def __init__(self, line: int) -> None:
        super().__init__(f"Line {line} is none of a log of erasures. Nothing was started.")


class ErasureInterrupted(ErasureError):
    """An erasure could not go on. It is resumed where it stopped; the cause is named without its text."""

    def __init__(self, erasure_id: UUID, cause: BaseException) -> None:
        code = getattr(getattr(cause, "orig", cause), "pgcode", None)
        super().__init__(
            f"Erasure {erasure_id} was interrupted ({type(cause).__name__}{f', SQLSTATE {code}' if code else ''}); "
            "it goes on where it stopped."
        )
