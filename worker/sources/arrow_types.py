"""In which type a feature travels from its source to the model."""

from __future__ import annotations

import pyarrow as pa

from shared.models.signature import FeatureKind, FeatureSpec

_TYPES = {
    FeatureKind.INTEGER: pa.int64(),
    FeatureKind.NUMBER: pa.float64(),
    FeatureKind.BOOLEAN: pa.bool_(),
    FeatureKind.CATEGORY: pa.dictionary(pa.int32(), pa.string()),
    FeatureKind.DATETIME: pa.timestamp("us"),
}


def arrow_type(spec: FeatureSpec) -> pa.DataType:
    """The type in which a feature travels through the worker."""
    return pa.timestamp("us", "UTC") if spec.dtype == "datetime64[us, UTC]" else _TYPES[spec.kind]
