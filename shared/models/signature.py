"""A model's signature: the names, types and order of the features it was trained on.

The gateway checks features given in a call against it; the worker checks the columns it reads.
Neither needs numpy for that, so this module has no third-party import.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass
from itertools import islice
from typing import Any

from shared.models.feature import FeatureKind, FeatureProblem, FeatureSpec, check_value
from shared.models.signature_reading import SignatureRefused, read_features
from shared.sentences import Sentence

__all__ = [
    "FeatureKind",
    "FeatureProblem",
    "FeatureSpec",
    "Signature",
    "SignatureRefused",
    "check_value",
    "find_feature",
    "missing_columns",
]


LACKS = "the source lacks "  # how a finding begins that keeps a version from going live
_MOST_UNKNOWN = 20  # features that are named: enough to see the pattern


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
        """Read the form written by `to_json`, or one by hand. Raises SignatureRefused with one line per flaw."""
        return cls(read_features(data))

    def problems(self, values: Mapping[str, Any]) -> list[FeatureProblem]:
        """Everything wrong with one feature set; empty when it can be scored."""
        known = set(self.names)
        unknown = islice((name for name in values if name not in known), _MOST_UNKNOWN)
        found = [_unknown(name) for name in unknown]
        for spec in self.features:
            problem = check_value(spec, values.get(spec.name))
            if problem is not None:
                found.append(problem)
        return found


def _unknown(name: str) -> FeatureProblem:
    text = f"the model has no feature {name[:80]!r}"
    return FeatureProblem(name, "unknown_feature", Sentence(text, "unknown_feature", name=name[:80]))


def find_feature(features: Iterable[FeatureSpec], name: str) -> FeatureSpec | None:
    """The feature of that name, or None."""
    return next((feature for feature in features if feature.name == name), None)


def missing_columns(signature: Signature, columns: Iterable[str]) -> tuple[str, ...]:
    """The features that a source with these columns cannot give, in the signature's order.

    A version that has any is not promoted for that source: each of its rows would lack them.
    """
    known = frozenset(columns)
    return tuple(name for name in signature.names if name not in known)
