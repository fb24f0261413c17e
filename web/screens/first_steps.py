"""What is still to do before anything can be scored: the first sight of an empty installation."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from web.frame.screen import Screen


@dataclass(frozen=True, slots=True)
class FirstSteps:
    """How far somebody has come on the way to a first live model."""

    sources: int | None  # None where the caller may not see them
    registered: Sequence[str]  # the models that wait for a promotion, by name


async def first_steps(screen: Screen, models: Sequence[dict[str, Any]] | None = None) -> FirstSteps | None:
    """None where a model is live, or where the caller may not see models. `models` are those of the API, if known."""
    if not screen.signed_in.may("read"):
        return None
    if models is None:
        models = (await screen.api.get("/v1/models"))["models"]
    if any(model["live_version"] for model in models):
        return None
    sources = len((await screen.api.get("/v1/sources"))["sources"]) if screen.signed_in.is_admin else None
    return FirstSteps(sources, [model["name"] for model in models if model["versions"]])
