"""Variables that look like settings and are none: a misspelt one would be left out without a word."""

from __future__ import annotations

from collections.abc import Iterable
from difflib import get_close_matches

from shared.config import Settings
from shared.logging import get_logger

log = get_logger(__name__)

_PREFIX = "PREDICTQ_"
_OF_COMMANDS = frozenset(
    {"PREDICTQ_API_URL", "PREDICTQ_API_KEY", "PREDICTQ_TLS_CA", "PREDICTQ_TLS_NAME", "PREDICTQ_ENV_FILE"}
)


def unknown_variables(names: Iterable[str], *, of_sources: Iterable[str] = ()) -> list[str]:
    """What to say of each name that begins with PREDICTQ_ and is neither a setting nor in `of_sources`."""
    known = {f"{_PREFIX}{field.upper()}" for field in Settings.model_fields} | _OF_COMMANDS
    others = set(of_sources)
    strange = sorted(
        name for name in names if name.upper().startswith(_PREFIX) and name.upper() not in known and name not in others
    )
    return [_words(name, known) for name in strange]


def warn_of_unknown_variables(names: Iterable[str]) -> None:
    """Say it in the log of a service, which goes on without them."""
    for words in unknown_variables(names):
        log.warning("a variable has no effect", reason=words)


def _words(name: str, known: Iterable[str]) -> str:
    near = get_close_matches(name.upper(), known, n=1, cutoff=0.8)
    hint = f": did you mean {near[0]}?" if near else ""
    return f"{name} is no setting{hint}"
