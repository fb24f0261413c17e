"""What a log, or a column for operators, may say of an error: never a value that somebody sent or stored.

The text of an exception may repeat what it was about: a feature, a key, a row of a file, the parameters of a statement.
PostgreSQL's does (`Key (owner, key)=(…) already exists`), pyarrow's and scikit-learn's do.
"""

from __future__ import annotations

import traceback
from collections.abc import Iterator

# Where Python raises them itself, their texts name modules, attributes and files: then the field beside them is set.
# Raised with a text alone, as any code may raise them, they are like all others.
_PLAIN = ((ImportError, "name"), (AttributeError, "name"), (NameError, "name"), (OSError, "errno"))
_SERVERS = ("redis.", "kombu.", "sqlalchemy.exc")  # whose own errors are about connections
_DRIVER = ("OperationalError", "InterfaceError")  # psycopg2's; with no SQLSTATE they are about the connection


def words_of(error: BaseException) -> str:
    """The type of an error; its SQLSTATE where PostgreSQL raised it; else its text, in one line, where that is safe."""
    cause = getattr(error, "orig", None) or error
    name, code = type(cause).__name__, getattr(cause, "pgcode", None)
    if code:
        return f"{name} (SQLSTATE {code})"
    text = str(cause).strip().partition("\n")[0] if _is_safe(cause) else ""
    return f"{name}: {text}" if text else name


def traceback_without_values(error: BaseException) -> str:
    """A traceback as Python prints it, with `words_of` in the place of the texts."""
    return "\n".join(_lines(error, frozenset()))


def _lines(error: BaseException, seen: frozenset[int]) -> Iterator[str]:
    earlier = error.__cause__ or (None if error.__suppress_context__ else error.__context__)
    if earlier is not None and id(earlier) not in seen:
        yield from _lines(earlier, seen | {id(error)})
        yield "\nwhich led to:\n"
    yield "Traceback (most recent call last):"
    yield "".join(traceback.format_tb(error.__traceback__)).rstrip("\n")
    yield words_of(error)


def _is_safe(error: BaseException) -> bool:
    told = getattr(error, "tells_values", None)  # our own errors say so themselves
    if told is not None:
        return not told
    module, name = type(error).__module__, type(error).__name__
    is_of_driver = module.startswith("psycopg2") and name in _DRIVER
    is_pythons = any(isinstance(error, kind) and getattr(error, field) is not None for kind, field in _PLAIN)
    return is_pythons or is_of_driver or module.startswith(_SERVERS)
