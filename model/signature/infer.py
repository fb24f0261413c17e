"""The signature of a model, from what its file says and from the columns of its source."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from types import MappingProxyType
from typing import Any, Protocol

import numpy as np

from model.answering import wants_series
from model.errors import ModelRefused
from model.graphs.onnx_model import OnnxModel
from model.signature.category_types import CategoryList, as_lightgbm_was_told, category_lists, is_booster
from model.signature.inside import Sight, categories_of, first_step, inner, sights
from shared.files.table import MOST_NAME_BYTES
from shared.models.feature import FeatureKind, FeatureSpec
from shared.models.signature import LACKS, Signature
from shared.sources.near_names import nearest

KINDS = {
    **dict.fromkeys(("smallint", "integer", "bigint"), FeatureKind.INTEGER),
    **dict.fromkeys(("real", "double precision", "numeric"), FeatureKind.NUMBER),
    "boolean": FeatureKind.BOOLEAN,
    **dict.fromkeys(("text", "varchar", "char", "citext", "enum", "uuid"), FeatureKind.CATEGORY),
    **dict.fromkeys(("date", "timestamp", "timestamptz"), FeatureKind.DATETIME),
}
_ONNX_KINDS = {np.int64: FeatureKind.INTEGER, np.int32: FeatureKind.INTEGER, np.bool_: FeatureKind.BOOLEAN}


class Column(Protocol):
    """A column of a source. `type` is PostgreSQL's base type name."""

    @property
    def name(self) -> str: ...  # noqa: D102
    @property
    def type(self) -> str: ...  # noqa: D102
    @property
    def nullable(self) -> bool: ...  # noqa: D102
    @property
    def comment(self) -> str | None: ...  # noqa: D102


@dataclass(slots=True)
class Inferred:
    """A signature and how it was found. Every feature that may be missing in its source is nullable still: whether the
    model takes that is found out by trying.
    """

    signature: Signature
    notes: list[str] = field(default_factory=list)


def infer_signature(
    estimator: Any,
    columns: Sequence[Column] | None,
    said: Sequence[str] = (),
    *,
    others: Mapping[str, str] = MappingProxyType({}),
) -> Inferred:
    """The features of `estimator`, with the types of the source's columns, where there are such.

    `said` are names that a person has given some of them: LightGBM keeps none as it was told. `others` are
    columns of the source's table that are no features, with the reason of each.

    Raises ModelRefused where the file does not name its features, or a column is of a type that no feature stands for.
    """
    names = feature_names(estimator, {column.name for column in columns or ()})
    if names is None:
        names = _names_of_columns(estimator, columns)
    names = as_lightgbm_was_told(estimator, names, {*said, *(column.name for column in columns or ())})
    notes: list[str] = []
    known = {column.name: column for column in columns or ()}
    lacking = [name for name in names if name not in known] if columns is not None else []
    if lacking:
        notes.append(lacking_words(lacking, known, others))
    seen: dict[str, list[Sight]] = {}
    for sight in sights(estimator, names):
        seen.setdefault(sight.feature, []).append(sight)
    lists = category_lists(estimator, names, [name for name, column in known.items() if _is_text(column)])
    specs = [_spec(name, known.get(name), seen.get(name, []), lists.get(name)) for name in names]
    if isinstance(estimator, OnnxModel):
        specs = [as_onnx_takes(estimator, spec) for spec in specs]
        notes += _open_words(specs)
    elif is_booster(estimator):
        specs = [as_boosters_take(spec) for spec in specs]
    return Inferred(Signature(tuple(specs)), notes)


def column_feature(column: Column, *, nullable: bool = True, categories: tuple[str, ...] = ()) -> FeatureSpec:
    """A column as a feature of whatever is made for it: the types are those that `infer_signature` finds.

    Raises ModelRefused for a column of a type that no feature stands for.
    """
    return FeatureSpec(
        column.name,
        _kind_of_column(column.name, column),
        nullable=nullable,
        categories=categories,
        dtype=time_dtype(column.type) if KINDS.get(column.type) is FeatureKind.DATETIME else "",
        column_type=column.type,
        description=plain_comment(column.comment),
    )


def time_dtype(column_type: str | None) -> str:
    """What the estimator gets of a column of dates or times: with its zone only where the column has one."""
    return "datetime64[us, UTC]" if column_type == "timestamptz" else "datetime64[us]"


def feature_names(estimator: Any, known: Collection[str] = ()) -> list[str] | None:
    """The names of the features that the file says it was fitted on; None where it says none.

    `known` are the columns of its source: what looks like the numbers of columns without names may be names there.
    """
    if isinstance(estimator, OnnxModel):
        return None if estimator.takes_one_matrix else estimator.input_names
    for part in (estimator, inner(estimator), first_step(estimator)):
        for key in ("feature_names_in_", "feature_name_", "feature_names_"):
            found = _attribute(part, key)
            names = [] if found is None else [str(name) for name in found]
            if names and (not _are_made_up(names) or set(names) <= set(known)):
                return names
    return None


def _are_made_up(names: list[str]) -> bool:
    return any(names == [form.format(place) for place in range(len(names))] for form in ("Column_{}", "f{}", "{}"))


def _attribute(part: Any, key: str) -> Any:
    try:
        return getattr(part, key, None)
    except Exception:  # noqa: BLE001 - boosters raise from properties where nothing was named
        return None


def _names_of_columns(estimator: Any, columns: Sequence[Column] | None) -> list[str]:
    width = _attribute(estimator, "n_features_in_")
    if wants_series(estimator):
        width = 1
    texts = [column.name for column in columns or () if _is_text(column)]
    if wants_series(estimator) and len(texts) == 1:
        return texts
    how_many = "its features" if width is None else f"its {width} features" if width != 1 else "its one feature"
    example = '{"name": "size", "kind": "integer"}' if columns is None else '{"name": "size"}, {"name": "height"}'
    raise ModelRefused(
        f"The file does not say what {how_many} are called: it was fitted without column names. Name them in order "
        f'with --signature FILE: {{"features": [{example}, …]}}'
    )


def _is_text(column: Column) -> bool:
    return KINDS.get(column.type) is FeatureKind.CATEGORY


def lacking_words(lacking: Sequence[str], known: Iterable[str], others: Mapping[str, str]) -> str:
    """What the source lacks: of each feature why it is none there, or a column that is called nearly so."""
    names = list(known)
    words = ", ".join(_lacking_one(name, names, others) for name in lacking[:10])
    return f"{LACKS}{len(lacking)} of the model's features: {words}" + (", …" if len(lacking) > 10 else "")


def _lacking_one(name: str, names: Sequence[str], others: Mapping[str, str]) -> str:
    if name in others:
        return f"{name!r} ({others[name]})"
    if len(name.encode()) > MOST_NAME_BYTES:
        return f"{name!r} (no column can have this name, {MOST_NAME_BYTES} bytes at most: rename the model's feature)"
    match = nearest(name, names)
    return f"{name!r} (there is {match!r})" if match else repr(name)


def _spec(name: str, column: Column | None, seen: list[Sight], listed: CategoryList | None) -> FeatureSpec:
    encoded = [category for sight in seen for category in categories_of(sight)]
    kind = _kind_of_column(name, column) if column is not None else _kind_of_parts(seen, encoded)
    if listed:  # of whole numbers and flags as well: their texts are the words
        kind = FeatureKind.CATEGORY
    nullable = column.nullable if column is not None else True
    dtype = ""
    if listed:
        dtype = listed.dtype
    elif kind is FeatureKind.DATETIME:
        dtype = time_dtype(None if column is None else column.type)
    is_text = kind is FeatureKind.CATEGORY
    is_object = kind is FeatureKind.BOOLEAN or (is_text and not listed)
    return FeatureSpec(
        name,
        kind,
        nullable=nullable,
        categories=listed.words if listed else (_closed_list(seen) if is_text else ()),
        dtype=dtype,
        missing="none" if is_object and _knows_none(seen, encoded) else "nan",
        column_type=None if column is None else column.type,
        description=None if column is None else plain_comment(column.comment),
    )


def as_onnx_takes(estimator: OnnxModel, spec: FeatureSpec) -> FeatureSpec:
    """A feature as its input takes it: what the estimator gets, and what is stored, is the value as that type holds it.

    A text goes in as the column's own text. A kind that nobody has told follows from the type.
    """
    numpy_type = estimator.type_of(spec.name)
    if numpy_type is object and spec.kind is not FeatureKind.CATEGORY:
        return replace(spec, kind=FeatureKind.CATEGORY, dtype="", minimum=None, maximum=None)
    if spec.column_type is None and spec.kind is FeatureKind.NUMBER and numpy_type in _ONNX_KINDS:
        spec = replace(spec, kind=_ONNX_KINDS[numpy_type], dtype="")
        if spec.kind is FeatureKind.BOOLEAN:
            spec = replace(spec, minimum=None, maximum=None)
    is_number = spec.kind in (FeatureKind.NUMBER, FeatureKind.INTEGER)
    return replace(spec, dtype="float32") if numpy_type is np.float32 and is_number else spec


def _open_words(specs: Sequence[FeatureSpec]) -> list[str]:
    texts = [spec.name for spec in specs if spec.kind is FeatureKind.CATEGORY]
    if not texts:
        return []
    return [f"a graph does not tell which words it knows: unknown ones are not counted ({', '.join(texts[:10])})"]


def as_boosters_take(spec: FeatureSpec) -> FeatureSpec:
    """A boolean that may be missing as 1, 0 and NaN: they take no objects."""
    return replace(spec, dtype="float64") if spec.dtype == "object" and spec.kind is FeatureKind.BOOLEAN else spec


def plain_comment(comment: str | None) -> str | None:
    """The comment of a column as the description of a feature: without control characters, and not without end."""
    if not comment:
        return None
    return "".join(letter for letter in comment if letter.isprintable() or letter == "\n")[:2000] or None


def _kind_of_column(name: str, column: Column) -> FeatureKind:
    kind = KINDS.get(column.type)
    if kind is None:
        raise ModelRefused(
            f"The column {name!r} is of the type {column.type}, and no feature can be. Those that can: "
            f"{', '.join(KINDS)}. Make a view that casts it."
        )
    return kind


def _kind_of_parts(seen: list[Sight], encoded: list[Any]) -> FeatureKind:
    """The kind of a feature whose column nobody knows, by what the estimator's parts do with it."""
    if any(isinstance(value, str) for value in encoded):
        return FeatureKind.CATEGORY
    if any(isinstance(getattr(sight.part, "vocabulary_", None), dict) for sight in seen):
        return FeatureKind.CATEGORY
    if encoded and all(isinstance(value, (bool, np.bool_)) for value in encoded):
        return FeatureKind.BOOLEAN
    return FeatureKind.NUMBER


def _closed_list(seen: list[Sight]) -> tuple[str, ...]:
    """The words of an encoder that refuses all others: such a row then has an error that names them."""
    for sight in seen:
        words = categories_of(sight)
        if words and str(getattr(sight.part, "handle_unknown", None)) == "error" and not sight.is_filled:
            texts = [str(word) for word in words if isinstance(word, str)]
            if all(isinstance(word, str) or word is None or word != word for word in words):
                return tuple(texts)
    return ()


def _knows_none(seen: list[Sight], encoded: list[Any]) -> bool:
    """Whether a gap was None when it was fitted: an encoder knows None as a category, or an imputer looks for it."""
    if any(isinstance(value, float) and np.isnan(value) for value in encoded):
        return False
    looks_for_none = any(getattr(sight.part, "missing_values", 0) is None for sight in seen)
    return looks_for_none or any(value is None for value in encoded)
