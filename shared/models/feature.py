"""One feature of a model: its name, its type, what the estimator gets for it, and the check of a single value.

Gateway and worker share it, so it has no third-party import.
"""

from __future__ import annotations

import math
import re
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum

from shared.sentences import Sentence, retold

INT8_MIN, INT8_MAX = -(2**63), 2**63 - 1
EXACT_INTEGER = 2**53  # beyond it a double does not hold every whole number
_LOST_DIGITS = re.compile(r"[.,][0-9]{6}[0-9]*[1-9]")
_FLOAT32_MOST = 3.4028235677973362e38  # from here on a float32 is infinite


class FeatureKind(StrEnum):
    """The value type of one feature."""

    INTEGER = "integer"  # a whole number of 64 bits
    NUMBER = "number"  # a finite floating-point number
    BOOLEAN = "boolean"  # true or false
    CATEGORY = "category"  # a text; one of a closed list where the list is given
    DATETIME = "datetime"  # in JSON a string of ISO 8601


# As what a list of categories may have been trained where it was none of texts; a feature's categories are their texts.
CATEGORY_TYPES = (
    "int64", "int32", "int16", "int8", "uint64", "uint32", "uint16", "uint8", "float64", "bool",
)  # fmt: skip

# What the estimator can get for each kind; the first is for values that are never missing.
DTYPES: dict[FeatureKind, tuple[str, ...]] = {
    FeatureKind.INTEGER: ("int64", "float64", "float32"),
    FeatureKind.NUMBER: ("float64", "float32"),
    FeatureKind.BOOLEAN: ("bool", "object", "float64"),
    FeatureKind.CATEGORY: ("object", "category", *(f"category[{name}]" for name in CATEGORY_TYPES)),
    FeatureKind.DATETIME: ("datetime64[us]", "datetime64[us, UTC]"),
}
_WITHOUT_MISSING = frozenset({"int64", "bool"})  # numpy's, which have no word for a missing value
MISSING = ("nan", "none")


def default_dtype(kind: FeatureKind, *, nullable: bool) -> str:
    """What the estimator gets where nothing else is said: it follows from kind and nullability, never from a batch."""
    first, *others = DTYPES[kind]
    return others[0] if nullable and first in _WITHOUT_MISSING else first


@dataclass(frozen=True, slots=True)
class FeatureSpec:
    """One feature: its name, its type, and what values it may take.

    `minimum` and `maximum` are inclusive. `categories` empty means that any text is accepted. `nullable` means that the
    model takes a missing value; in a column of dtype `object` that is NaN or None, as `missing` says. `dtype` empty
    becomes the default for kind and nullability: to change `nullable` of a spec, give its dtype anew.
    `column_type` is the type of the column it was found in.
    """

    name: str
    kind: FeatureKind
    nullable: bool = False
    categories: tuple[str, ...] = ()
    minimum: float | None = None
    maximum: float | None = None
    dtype: str = ""
    missing: str = "nan"
    column_type: str | None = None
    title: str | None = None
    unit: str | None = None
    description: str | None = None

    def __post_init__(self) -> None:
        if not self.dtype:
            object.__setattr__(self, "dtype", default_dtype(self.kind, nullable=self.nullable))
        flaw = dtype_flaw(self.kind, self.dtype, nullable=self.nullable, categories=self.categories)
        if flaw:
            raise ValueError(f"{shown(self.name)}: {flaw}")

    @property
    def is_exact_to_2_53(self) -> bool:
        """Whether its whole numbers reach the estimator as doubles, which hold them exactly up to 2⁵³ only."""
        return self.kind is FeatureKind.INTEGER and self.dtype != "int64"


def category_of(dtype: str, word: str) -> str | int | float | bool:
    """What a category was when the model was trained, from its text. Raises ValueError for another text."""
    if dtype == "category":
        return word
    if dtype == "category[bool]":
        if word not in ("true", "false"):
            raise ValueError(word)
        return word == "true"
    return float(word) if dtype == "category[float64]" else int(word)


def dtype_flaw(kind: FeatureKind, dtype: str, *, nullable: bool, categories: Sequence[str]) -> str | None:
    """Why the estimator cannot get `dtype` for such a feature, or None."""
    if dtype not in DTYPES[kind]:
        return f"dtype of kind {kind} is one of {', '.join(DTYPES[kind])}; got {dtype!r}"
    if nullable and dtype in _WITHOUT_MISSING:
        return f"dtype {dtype} cannot hold a missing value: {default_dtype(kind, nullable=True)} can"
    if not dtype.startswith("category"):
        return None
    if not categories:
        return f"dtype {dtype} needs its categories, in the order in which the model was trained"
    return _category_flaw(dtype, categories)


def _category_flaw(dtype: str, categories: Sequence[str]) -> str | None:
    for word in categories:
        try:
            category_of(dtype, word)
        except ValueError:
            return f"dtype {dtype} has the category {word[:60]!r}, which is none"
    return None


@dataclass(frozen=True, slots=True)
class FeatureProblem:
    """Why one feature cannot be scored: `code` for programs, `detail` for people."""

    name: str
    code: str
    detail: str


def may_be_rounded(value: object) -> bool:
    """Whether a whole number that came as a double may be another than was written: from ±2⁵³ on."""
    return type(value) is float and abs(value) >= EXACT_INTEGER


def shown(name: str) -> str:
    """A feature's name at the begin of a sentence: quoted where a spreadsheet would take it for a formula."""
    return name if name[:1].isalpha() or name[:1] == "_" else repr(name)


def check_value(spec: FeatureSpec, value: object, *, is_quoted: bool = True) -> FeatureProblem | None:
    """The problem with `value` as feature `spec`, or None when it is fine.

    `is_quoted`: the detail may have the value in it. Whoever sent it may read it; what is stored with an answer is for
    people who may not see features, too.
    """
    if value is None:
        return None if spec.nullable else _missing(spec)
    detail = _type_detail(spec, value, is_quoted) or _range_detail(spec, value, is_quoted)
    return FeatureProblem(spec.name, "invalid_feature", detail) if detail else None


def _missing(spec: FeatureSpec) -> FeatureProblem:
    return FeatureProblem(
        spec.name, "missing_feature", Sentence(f"{shown(spec.name)} is missing", "missing", name=spec.name)
    )


def _type_detail(spec: FeatureSpec, value: object, is_quoted: bool) -> str | None:
    if spec.kind is FeatureKind.BOOLEAN:
        return (
            None
            if isinstance(value, bool)
            else Sentence(f"{shown(spec.name)} must be true or false", "not_boolean", name=spec.name)
        )
    if spec.kind is FeatureKind.CATEGORY:
        return _category_detail(spec, value, is_quoted)
    if spec.kind is FeatureKind.DATETIME:
        return _datetime_detail(spec, value)
    if isinstance(value, bool) or not isinstance(value, (int, float)):
        return _not_a_number(spec)
    if spec.kind is FeatureKind.NUMBER:
        return _number_detail(spec, value)
    return _integer_detail(spec, value)


def _number_detail(spec: FeatureSpec, value: float) -> str | None:
    if value != value:  # NaN alone is not itself, and stands in tables only: JSON has none
        return (
            f"{shown(spec.name)} is NaN, which is no number and no missing value: make it NULL in the source, or give "
            "a view that does (nullif(column, 'NaN'))"
        )
    if not _is_finite(value):
        return _not_a_number(spec)
    if spec.dtype == "float32" and abs(value) >= _FLOAT32_MOST:
        return f"{shown(spec.name)} is beyond what float32 holds, which the model takes"
    return None


def _integer_detail(spec: FeatureSpec, value: float) -> str | None:
    if isinstance(value, float) and not value.is_integer():
        return _not_a_number(spec)
    if not INT8_MIN <= value <= INT8_MAX:
        if _own_range(spec):
            return _not_a_number(spec)
        text = f"{_not_a_number(spec)} from {INT8_MIN} to {INT8_MAX}"
        return Sentence(text, "not_whole", name=spec.name, minimum=INT8_MIN, maximum=INT8_MAX)
    if may_be_rounded(value):
        text = (
            f"{shown(spec.name)} must be a whole number in plain digits: with a point or an exponent it may be rounded"
        )
        return Sentence(text, "not_whole", name=spec.name, minimum=spec.minimum, maximum=spec.maximum)
    if spec.is_exact_to_2_53 and abs(value) > EXACT_INTEGER:
        return f"{shown(spec.name)} is beyond ±2⁵³, and the model takes it as a double, which cannot hold it exactly"
    return None


def _is_finite(value: float) -> bool:
    try:
        return math.isfinite(value)
    except OverflowError:  # a whole number beyond what a float can hold
        return False


def _not_a_number(spec: FeatureSpec) -> str:
    wanted = "finite" if spec.kind is FeatureKind.NUMBER else "whole"
    reason = "not_number" if spec.kind is FeatureKind.NUMBER else "not_whole"
    text = f"{shown(spec.name)} must be a {wanted} number{_own_range(spec)}"
    return Sentence(text, reason, name=spec.name, minimum=spec.minimum, maximum=spec.maximum)


def _own_range(spec: FeatureSpec) -> str:
    if spec.minimum is not None and spec.maximum is not None:
        return f" from {spec.minimum:.12g} to {spec.maximum:.12g}"
    if spec.minimum is not None:
        return f" of at least {spec.minimum:.12g}"
    return "" if spec.maximum is None else f" of at most {spec.maximum:.12g}"


def is_storable(text: str) -> bool:
    """Whether PostgreSQL and UTF-8 can hold it: no NUL, no lone surrogate."""
    try:
        text.encode()  # at C speed: a text may have a megabyte
    except UnicodeEncodeError:
        return False
    return "\x00" not in text


def _category_detail(spec: FeatureSpec, value: object, is_quoted: bool) -> str | None:
    if not isinstance(value, str) or not is_storable(value):
        text = f"{shown(spec.name)} must be a string without NUL and lone surrogates"
        return Sentence(text, "not_text", name=spec.name)
    if spec.categories and value not in spec.categories:
        text = f"{shown(spec.name)} must be one of {_some(spec.categories)}"
        wanted = Sentence(text, "not_of_list", name=spec.name, values=spec.categories)
        return retold(wanted, f"{text}; got {value[:80]!r}", value=value[:80]) if is_quoted else wanted
    return None


def _some(words: tuple[str, ...], most: int = 20) -> str:
    rest = len(words) - most
    return ", ".join(map(repr, words[:most])) + (f" or {rest} more" if rest > 0 else "")


def _datetime_detail(spec: FeatureSpec, value: object) -> str | None:
    has_zone = spec.dtype.endswith("UTC]")
    example = "2026-11-26T14:30:00Z" if has_zone else "2026-11-26T14:30:00"
    text = f"{shown(spec.name)} must be a time as ISO 8601 writes it, such as {example}"
    wanted = Sentence(text, "not_a_time" if has_zone else "not_a_date", name=spec.name, example=example)
    if isinstance(value, datetime):
        return None
    if not isinstance(value, str):
        return wanted
    try:
        found = datetime.fromisoformat(value)
    except ValueError:
        return wanted
    if is_finer_than_microseconds(value):
        return retold(wanted, f"{wanted}, to the microsecond at most")
    if (found.tzinfo is not None) != has_zone:
        return retold(wanted, f"{wanted}: {'its time zone is missing' if has_zone else 'without a time zone'}")
    return None


def is_finer_than_microseconds(written: str) -> bool:
    """Whether a time in ISO 8601 has digits, other than zeros, that Python would leave off without a word."""
    return _LOST_DIGITS.search(written) is not None


def _range_detail(spec: FeatureSpec, value: object, is_quoted: bool) -> str | None:
    if isinstance(value, bool) or not isinstance(value, (int, float)):
        return None
    if spec.minimum is not None and value < spec.minimum:
        text = f"{shown(spec.name)} must be at least {spec.minimum:g}"
        wanted = Sentence(text, "too_low", name=spec.name, minimum=spec.minimum)
        return retold(wanted, f"{text}; got {value:g}", value=value) if is_quoted else wanted
    if spec.maximum is not None and value > spec.maximum:
        text = f"{shown(spec.name)} must be at most {spec.maximum:g}"
        wanted = Sentence(text, "too_high", name=spec.name, maximum=spec.maximum)
        return retold(wanted, f"{text}; got {value:g}", value=value) if is_quoted else wanted
    return None
