"""Versions side by side, and requirements out of what a file states."""

from __future__ import annotations

from typing import Any

from cli.commands.models.comparing import differences, requirement_lines


def _feature(name: str, **more: Any) -> dict[str, Any]:
    return {"name": name, "kind": "number", "dtype": "float64", "missing": "nan", "nullable": True, "categories": [],
            "minimum": None, "maximum": None, **more}  # fmt: skip


def _version(**more: Any) -> dict[str, Any]:
    base = {
        "model": "churn", "version": 1, "task": "binary", "classes": ["No", "Yes"], "threshold": 0.5,
        "source": "people", "file_format": "joblib", "requirements": "", "sha256": "a", "digest": "b",
        "code_sha256": None,
        "signature": {"features": [_feature("age"), _feature("city", kind="category", categories=["Lyon"])]},
        "metadata": {"library_versions": {"numpy": "2.3.1"},
                     "metrics": {"auc": {"mean": 0.8, "low": 0.7, "high": 0.9}}},
    }  # fmt: skip
    return base | more


def test_nothing_is_said_of_what_is_alike() -> None:
    """A version is like itself, whatever its number."""
    assert list(differences(_version(), _version(version=2))) == []


def test_each_difference_is_named_once() -> None:
    """Facts, features that came, went or changed, figures and libraries."""
    features = [_feature("city", kind="category", categories=["Lyon", "Nice"]), _feature("income")]
    other = _version(
        threshold=0.4,
        signature={"features": features},
        metadata={"library_versions": {"numpy": "2.4.0"}, "metrics": {}},
    )
    assert list(differences(_version(), other)) == [
        ("threshold", 0.5, 0.4),
        ("feature age", "number", "–"),
        ("feature city: categories", ["Lyon"], ["Lyon", "Nice"]),
        ("feature income", "–", "number"),
        ("figure auc", "0.8", "–"),
        ("library numpy", "2.3.1", "2.4.0"),
    ]


def test_another_order_of_the_same_features_is_a_difference() -> None:
    """The estimator takes columns by their place."""
    turned = _version(signature={"features": list(reversed(_version()["signature"]["features"]))})
    assert list(differences(_version(), turned)) == [("order of the features", ["age", "city"], ["city", "age"])]


def test_requirements_pin_what_is_stated_and_nothing_else() -> None:
    """A version that no file states, or that is stated twice, is a comment and never a guess."""
    stated = {"python": "not stated", "numpy": "not stated", "scikit-learn": "1.7.2", "xgboost": "3.0.0, 3.1.0"}
    assert list(requirement_lines(stated)) == [
        "# numpy: its version is not stated by the file",
        "# Python not stated",
        "scikit-learn==1.7.2",
        "# xgboost: parts of the file were made by 3.0.0, 3.1.0",
    ]
