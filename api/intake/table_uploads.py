"""Jobs of tables that a worker opens: sent as the body of the call, or before it as a file."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any
from uuid import UUID

from fastapi.exceptions import RequestValidationError
from pydantic import ValidationError

from api.http.problems import Flaw, Invalid
from api.http.validation import problem_of_validation
from api.schemas.uploads import LookOrder
from shared.uploads.table_order import TableOrder, essence_of

WORKBOOK = "application/vnd.openxmlformats-officedocument.spreadsheetml.sheet"
TABLE_TYPES = (
    "application/vnd.apache.parquet",
    "application/vnd.apache.arrow.file",
    "application/vnd.apache.arrow.stream",
    WORKBOOK,
)
_OWN = ("features", "columns", "sheet", "separator", "decimal", "dates", "encoding")
ORDER_FIELDS = ("upload", *_OWN)


def parse_table_order(content: Mapping[str, Any]) -> TableOrder:
    """What a body says of the file that it names as `upload`. Raises Invalid."""
    try:
        upload_id = UUID(content["upload"])
    except (ValueError, TypeError, AttributeError):
        detail = "upload must be the id of a file, as POST /v1/uploads gives it"
        raise Invalid(Flaw("/upload", "invalid_upload", detail)) from None
    try:
        said = LookOrder.model_validate({"model": None, **{name: content[name] for name in _OWN if name in content}})
    except ValidationError as error:
        of_body = [{**flaw, "loc": ("body", *flaw["loc"])} for flaw in error.errors()]
        raise problem_of_validation(RequestValidationError(of_body)) from None
    return said.to_order(upload_id)


def asked_json(order: TableOrder, sha256: str) -> list[Any]:
    """What is asked for, whatever file it is that has these bytes: for the Idempotency-Key.

    Its media type is a part of it: bytes of another kind are read in another way.
    """
    said = order.to_json()
    return [sha256, essence_of(order.media_type), *(said[name] for name in ("has_features", *_OWN[1:]))]
