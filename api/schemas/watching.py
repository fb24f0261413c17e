"""The shapes of samples, and of what needs a person."""

from __future__ import annotations

from typing import Any, Literal

from pydantic import Field

from api.schemas.base import Shape, Time
from shared.watching.attention import Concern


class Point(Shape):
    """A figure at the beginning of a step."""

    at: Time
    value: float


class Series(Shape):
    """One figure through time."""

    name: Literal["waiting_rows", "oldest_seconds", "rows_per_second", "errors_per_second"]
    queue: str
    model: str | None = Field(description="Of what is answered; null for what waits.")
    points: list[Point]


class Samples(Shape):
    """The last hours; a step without a point had nothing."""

    step_seconds: int
    series: list[Series]


class NeedsPerson(Shape):
    """One matter, with its figures and with words for people."""

    code: Concern
    since: Time | None
    about: dict[str, Any] = Field(description="The figures and names that the sentence is made of; by code.")
    detail: str
    advice: str


class Attention(Shape):
    """What needs a person now, the gravest first; empty where nothing does."""

    needs: list[NeedsPerson]
