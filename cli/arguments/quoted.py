"""Words in double quotes, as JSON writes them: a name with a sign in it, or a value that would mean something else."""

from __future__ import annotations

import json

QUOTED = r'"(?:[^"\\]|\\.)+"'


def unquoted(text: str) -> str:
    """What stands in double quotes; a text that does not is taken as it is."""
    if not (len(text) > 1 and text[0] == text[-1] == '"'):
        return text
    try:
        return str(json.loads(text))
    except ValueError:
        return text
