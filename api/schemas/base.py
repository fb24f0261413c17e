"""What the shapes of the wire have in common: their base, times, labels and the name of a model."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated, Any

from fastapi import Query
from pydantic import BaseModel, ConfigDict, Field, PlainSerializer, WithJsonSchema

# As orjson writes it in the answers that are made without these models.
Time = Annotated[
    datetime,
    PlainSerializer(datetime.isoformat, return_type=str, when_used="json"),
    WithJsonSchema({"type": "string", "format": "date-time"}),
]
Label = bool | int | float | str
ModelName = Annotated[
    str | None,
    Field(
        default=None,
        max_length=110,
        examples=["churn"],
        description="`churn`, or `churn:3` for one of its versions (role `operate`); without it the default model.",
    ),
]


ModelParameter = Annotated[
    str | None,
    Query(
        min_length=1,
        max_length=110,
        description="The model, `churn` or `churn:3`; without it the default one.",
    ),
]


class Shape(BaseModel):
    """Base of all: no field but those named."""

    model_config = ConfigDict(extra="forbid")


class Told(Shape):
    """What says, beside its sentence, why it is said and what it is about: for other languages and for programs."""

    detail: str
    reason: str | None = Field(default=None, description="Why, more closely than the code or the type.")
    about: dict[str, Any] | None = Field(default=None, description="The names and figures in `detail`.")
