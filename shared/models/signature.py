"""A model's signature: the names, types and order of the features it was trained on.

The gateway checks features given in a call against it; the worker checks the columns it reads.
Neither needs numpy for that, so this module has no third-party import.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass
from enum import StrEnum
from typing import Any

INT4_MIN, INT4_MAX = -(2**31), 2**31 - 1


class FeatureKind(StrEnum):
    """The value type of one feature."""

    INTEGER = "integer"  # a whole number that fits PostgreSQL's integer
    NUMBER = "number"  # a finite floating-point number
    BOOLEAN = "boolean"  # true or false
    CATEGORY = "category"  # one of a closed list of words


@dataclass(frozen=True, slots=True)
class FeatureSpec:
    """One feature: its name, its type, and what values it may take.

    `minimum` and `maximum` are inclusive. `categories` empty means that any word is accepted.
    `nullable` means that the model imputes a missing value.
    """

    name: str
    kind: FeatureKind
    nullable: bool = False
    categories: tuple[str, ...] = ()
    minimum: float | None = None
    maximum: float | None = None


@dataclass(frozen=True, slots=True)
class FeatureProblem:
    """Why one feature cannot be scored: `code` for programs, `detail` for people."""

    name: str
    code: str
    detail: str


@dataclass(frozen=True, slots=True)
class Signature:
    """The features of one model version, in the order in which the model expects them."""

    features: tuple[FeatureSpec, ...]

    @property
    def names(self) -> tuple[str, ...]:
        """Feature names in model order."""
        return tuple(feature.name for feature in self.features)

    def to_json(self) -> dict[str, Any]:
        """The form stored in `model_versions.signature`."""
        return {"features": [asdict(feature) for feature in self.features]}

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> Signature:
        """Read the form written by `to_json`."""
        return cls(tuple(_spec_from_json(item) for item in data["features"]))

    def problems(self, values: Mapping[str, Any]) -> list[FeatureProblem]:
        """Everything wrong with one feature set; empty when it can be scored."""
        found = [
            FeatureProblem(name, "unknown_feature", f"the model has no feature {name!r}")
            for name in values
            if name not in self.names
        ]
        for spec in self.features:
            problem = check_value(spec, values.get(spec.name))
            if problem is not None:
                found.append(problem)
        return found


def _spec_from_json(item: Mapping[str, Any]) -> FeatureSpec:
    return FeatureSpec(
        name=item["name"],
        kind=FeatureKind(item["kind"]),
        nullable=item.get("nullable", False),
        categories=tuple(item.get("categories", ())),
        minimum=item.get("minimum"),
        maximum=item.get("maximum"),
    )


def check_value(spec: FeatureSpec, value: object) -> FeatureProblem | None:
    """The problem with `value` as feature `spec`, or None when it is fine."""
    if value is None:
        return None if spec.nullable else FeatureProblem(spec.name, "missing_feature", f"{spec.name} is missing")
    detail = _type_detail(spec, value) or _range_detail(spec, value)
    return FeatureProblem(spec.name, "invalid_feature", detail) if detail else None


def _type_detail(spec: FeatureSpec, value: object) -> str | None:
    if spec.kind is FeatureKind.BOOLEAN:
        return None if isinstance(value, bool) else f"{spec.name} must be true or false"
    if spec.kind is FeatureKind.CATEGORY:
        return _category_detail(spec, value)
    if isinstance(value, bool) or not isinstance(value, (int, float)):
        return _not_a_number(spec)
    if spec.kind is FeatureKind.NUMBER:
        return None if _is_finite(value) else _not_a_number(spec)
    if isinstance(value, float) and not value.is_integer():
        return _not_a_number(spec)
    if not INT4_MIN <= value <= INT4_MAX:
        return _not_a_number(spec) + ("" if _own_range(spec) else f" from {INT4_MIN} to {INT4_MAX}")
    return None


def _is_finite(value: float) -> bool:
    try:
        return math.isfinite(value)
    except OverflowError:  # a whole number beyond what a float can hold
        return False


def _not_a_number(spec: FeatureSpec) -> str:
    wanted = "finite" if spec.kind is FeatureKind.NUMBER else "whole"
    return f"{spec.name} must be a {wanted} number{_own_range(spec)}"


def _own_range(spec: FeatureSpec) -> str:
    if spec.minimum is not None and spec.maximum is not None:
        return f" from {spec.minimum:.12g} to {spec.maximum:.12g}"
    if spec.minimum is not None:
        return f" of at least {spec.minimum:.12g}"
    return "" if spec.maximum is None else f" of at most {spec.maximum:.12g}"


def _category_detail(spec: FeatureSpec, value: object) -> str | None:
    if not isinstance(value, str) or "\x00" in value or any("\ud800" <= letter <= "\udfff" for letter in value):
        return f"{spec.name} must be a string without NUL and lone surrogates"
    if spec.categories and value not in spec.categories:
        return f"{spec.name} must be one of {', '.join(map(repr, spec.categories))}; got {value[:80]!r}"
    return None


def _range_detail(spec: FeatureSpec, value: object) -> str | None:
    if not isinstance(value, (int, float)):
        return None
    if spec.minimum is not None and value < spec.minimum:
        return f"{spec.name} must be at least {spec.minimum:g}; got {value:g}"
    if spec.maximum is not None and value > spec.maximum:
        return f"{spec.name} must be at most {spec.maximum:g}; got {value:g}"
    return None


def find_feature(features: Iterable[FeatureSpec], name: str) -> FeatureSpec | None:
    """The feature of that name, or None."""
    return next((feature for feature in features if feature.name == name), None)
