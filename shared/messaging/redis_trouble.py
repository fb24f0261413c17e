"""Why Redis takes no messages: it is away, full, or refuses us."""

from __future__ import annotations

from enum import StrEnum

from redis.exceptions import AuthenticationError, NoPermissionError, OutOfMemoryError, ReadOnlyError, ResponseError

_WAIT = "jobs are accepted, and wait until it takes messages"


class RedisTrouble(StrEnum):
    """What is wrong with Redis, as one of its users has met it."""

    AWAY = "away"  # it does not answer
    FULL = "full"  # its memory
    REFUSES = "refuses"  # the password, or a right of the user
    READ_ONLY = "read_only"  # a replica, or a server whose own disk takes no writes

    @property
    def words(self) -> tuple[str, str]:
        """What is said of it, and what to do."""
        said, advice = _WORDS[self]
        return f"{said}: {_WAIT}", advice


_WORDS = {
    RedisTrouble.AWAY: ("Redis does not answer", "start it, or correct REDIS_URL"),
    RedisTrouble.FULL: ("Redis' memory is full", "raise REDIS_MAXMEMORY"),
    RedisTrouble.REFUSES: ("Redis refuses the password, or a right of its user", "correct REDIS_URL"),
    RedisTrouble.READ_ONLY: ("Redis takes no writes", "look at its disk, or name the primary in REDIS_URL"),
}


def trouble_of(error: BaseException | None) -> RedisTrouble:
    """What an error of Redis says of it; None: there was no answer."""
    if isinstance(error, OutOfMemoryError):
        return RedisTrouble.FULL
    if isinstance(error, AuthenticationError | NoPermissionError):
        return RedisTrouble.REFUSES
    text = str(error)
    if isinstance(error, ReadOnlyError) or (isinstance(error, ResponseError) and text.startswith("MISCONF")):
        return RedisTrouble.READ_ONLY
    return RedisTrouble.REFUSES if text.startswith(("NOAUTH", "WRONGPASS")) else RedisTrouble.AWAY
