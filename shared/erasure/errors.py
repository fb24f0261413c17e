"""What can be wrong with an erasure or an export of one client, by name. No text here holds a client key."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
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
    """The secret of the hashes that are kept outside the database is not there, or none."""

    def __init__(self, file: Path | None = None) -> None:
        """`file` is where it should be; None where no directory is set."""
        found = "is missing" if file is None else f"cannot be read from {file}"
        super().__init__(
            f"The secret that erased keys are hashed with {found}: set PREDICTQ_ERASURE_DIRECTORY for the upkeep "
            "process to the directory that holds erasures.secret, or put that file back from its backup; then start "
            "the replay again. An erasure goes on by itself."
        )


class OtherHashSecret(ErasureError):
    """Lines of a log were hashed with another secret than the one that is there."""

    def __init__(self, wanted: str, found: str) -> None:
        """The fingerprints of both."""
        super().__init__(
            f"These lines were hashed with another secret (its fingerprint is {wanted}) than the erasures.secret that "
            f"is in PREDICTQ_ERASURE_DIRECTORY of the upkeep process ({found}), so nobody was looked for. Put the "
            "erasures.secret there that was backed up with this log, keep the other one beside it, and start the "
            "replay again."
        )


class ErasureLogUnwritable(ErasureError):
    """The hash of an erased client cannot be kept. The erasure stays open."""

    def __init__(self, file: Path, cause: OSError) -> None:
        super().__init__(
            f"The hash of an erased client cannot be written to {file} ({cause.strerror or type(cause).__name__}), so "
            "the erasure waits. See that there is room and that the upkeep process may write there, or set "
            "PREDICTQ_ERASURE_DIRECTORY for it to another directory; the erasure goes on by itself."
        )


class ErasureLogRefused(ErasureError):
    """Lines of a log of erasures cannot be read."""

    def __init__(self, lines: Sequence[int]) -> None:
        """Their numbers, from 1."""
        named = numbers_text(lines)
        super().__init__(
            f"{named} {'is' if len(lines) == 1 else 'are'} none of a log of erasures. Nothing was started. If the "
            "rest is to be replayed all the same: --skip-bad-lines."
        )


def numbers_text(lines: Sequence[int]) -> str:
    """As "Line 3", or "Lines 3, 4 and 9"; the first ten of many."""
    if len(lines) == 1:
        return f"Line {lines[0]}"
    if len(lines) > _MOST_NAMED:
        return f"Lines {', '.join(map(str, lines[:_MOST_NAMED]))} and {len(lines) - _MOST_NAMED:,} more"
    return f"Lines {', '.join(map(str, lines[:-1]))} and {lines[-1]}"


_MOST_NAMED = 10


class ErasureInterrupted(ErasureError):
    """An erasure could not go on. It is resumed where it stopped; the cause is named without its text."""

    def __init__(self, erasure_id: UUID, cause: BaseException) -> None:
        code = getattr(getattr(cause, "orig", cause), "pgcode", None)
        super().__init__(
            f"Erasure {erasure_id} was interrupted ({type(cause).__name__}{f', SQLSTATE {code}' if code else ''}); "
            "it goes on where it stopped."
        )


class ErasureBlocked(ErasureError):
    """Another session keeps a lock that an erasure needs. It is resumed where it stopped."""

    def __init__(self, erasure_id: UUID) -> None:
        super().__init__(
            f"Erasure {erasure_id} waits for a lock that another session holds; it goes on by itself. {_LOOK}"
        )


class ErasuresWait(ErasureError):
    """Several erasures could not go on."""

    def __init__(self, problems: Sequence[ErasureError]) -> None:
        super().__init__(f"{len(problems)} erasures wait. The first: {problems[0]}")


_LOOK = (
    "Where one has been forgotten, SELECT pid, application_name, state, xact_start FROM pg_stat_activity WHERE "
    "xact_start IS NOT NULL ORDER BY xact_start shows it, the oldest first."
)
WAITS_FOR_OLDER = f"The erasure waits for a transaction that is older than it and accepts work. {_LOOK}"
