"""What is typed for a call with features, as its body."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from cli.errors import FileRefused, UsageProblem

_WHOLE = re.compile(r"-?(0|[1-9][0-9]{0,18})")


def number_or_text(typed: str) -> int | str:
    """A whole number in its natural form as one; all else, 007 too, as the text that it is."""
    return int(typed) if _WHOLE.fullmatch(typed) else typed


def natural_key(typed: str | Mapping[str, str]) -> Any:
    """A key as it is typed, or its parts, with whole numbers as such."""
    if isinstance(typed, str):
        return number_or_text(typed)
    return {name: number_or_text(value) for name, value in typed.items()}


def raw_body(
    values: dict[str, Any], place: str, *, model: str | None, client_id: str | dict[str, str] | None
) -> dict[str, Any]:
    """The body of a call for features: those of a file, or the whole body in it with what the options say besides.

    Raises UsageProblem where both say something else, FileRefused where the body has more than a call may.
    """
    whole = values if isinstance(values.get("features"), dict) else {"features": values}
    more = sorted(set(whole) - {"features", "client_id", "model"})
    if more:
        raise FileRefused(f"{place} is the body of a call, which has features, client_id and model, and no {more[0]!r}")
    if model is not None and whole.get("model") not in (None, model):
        raise UsageProblem(f"{place} is for the model {whole['model']}, and --model says {model}: leave one out")
    if client_id is not None and whole.get("client_id") is not None and _as_typed(whole["client_id"]) != client_id:
        raise UsageProblem(f"{place} has a client_id, and --client-id says another: leave one out")
    said = {"model": model, "client_id": None if client_id is None else natural_key(client_id)}
    given = {name: value for name, value in whole.items() if value is not None}
    return {**{name: value for name, value in said.items() if value is not None}, **given}


def _as_typed(key: Any) -> str | dict[str, str]:
    return {name: str(value) for name, value in key.items()} if isinstance(key, dict) else str(key)
