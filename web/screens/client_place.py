"""Where a client is at home: the source of a model, or the models without one; and the page that shows her."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from web.frame.api_calls import path_part


def place(source: str | None) -> dict[str, Any]:
    """The same in the words of the API. None is for models without a source."""
    return {"no_source": True} if source is None else {"source": source}


def client_path(answers: Mapping[str, Any]) -> str:
    """The page of a client, by what the API says of her answers."""
    source = answers["source"]
    return f"/clients/{answers['client_hash']}" + ("" if source is None else f"/{path_part(source)}")
