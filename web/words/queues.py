"""What the queues are called, beside the names by which they are typed."""

from __future__ import annotations

from web.words.catalogues import N_
from web.words.language import Language

_QUEUES = {"bulk": N_("bulk jobs"), "interactive": N_("single predictions")}


def shown_queue(language: Language, name: str) -> str:
    """A queue in the reader's language; one that is unknown here by its own name."""
    return language.say(_QUEUES[name]) if name in _QUEUES else name
