"""Where an estimator's own labels part: the threshold that it holds itself, as one on the positive class."""

from __future__ import annotations

import math
from typing import Any

from model.servable import plain_label
from model.signature.inside import steps_of
from shared.models.task import class_name

_PLAIN = 0.5
# Under which attribute these hold the estimator whose `predict` is theirs; searches have best_estimator_.
_HANDS_ON = {
    "FrozenEstimator": "estimator",
    "SelfTrainingClassifier": "estimator_",
    "RFE": "estimator_",
    "RFECV": "estimator_",
}


def own_threshold(estimator: Any, classes: tuple[Any, ...]) -> float | None:
    """The threshold that the estimator itself holds on the probability of the positive class, or None."""
    holder = _holder(estimator)
    return None if holder is None else _held_threshold(holder, classes)


def threshold_elsewhere(estimator: Any, classes: tuple[Any, ...]) -> str | None:
    """What the estimator holds as its threshold, where no threshold on the probability stands for it; else None."""
    holder = _holder(estimator)
    if holder is None or _held_threshold(holder, classes) is not None:
        return None
    if _goes_by_decision(holder):
        return f"threshold, {_value(holder)}, is one of decision_function and not of the probability"
    return f"threshold is {_value(holder)}, on the class {class_name(_held_class(holder))}"


def label_threshold(estimator: Any, classes: tuple[Any, ...]) -> float | None:
    """From which probability on `predict` gives the positive class; None where it goes by something else."""
    if goes_by_distance(estimator):
        return None
    holder = _holder(estimator)
    return _PLAIN if holder is None else _held_threshold(holder, classes)


def goes_by_distance(estimator: Any) -> bool:
    """Whether `predict` goes by the distance to a plane and not by `predict_proba`, as scikit-learn tells of SVC."""
    return any(type(part).__name__ in ("SVC", "NuSVC") for part in _answering(estimator))


def _answering(estimator: Any) -> list[Any]:
    """The estimator, and inside it whatever gives the labels in its place: the last is the one that answers."""
    found = [estimator]
    for _ in range(10):
        estimator = _behind(estimator)
        if estimator is None:
            break
        found.append(estimator)
    return found


def _behind(estimator: Any) -> Any:
    """To what an estimator hands its rows on for `predict`; None where it has a rule of its own."""
    steps = steps_of(estimator)
    if steps:
        return steps[-1]
    return getattr(estimator, _HANDS_ON.get(type(estimator).__name__, "best_estimator_"), None)


def _holder(estimator: Any) -> Any:
    """The part that holds a threshold, or None."""
    return next((part for part in _answering(estimator) if _holds_threshold(part)), None)


def _holds_threshold(part: Any) -> bool:
    if type(part).__name__ in ("FixedThresholdClassifier", "TunedThresholdClassifierCV"):
        return True
    return _threshold_of_booster(part) not in (None, _PLAIN)  # CatBoost's always has one


def _threshold_of_booster(part: Any) -> float | None:
    """What CatBoost's set_probability_threshold has set; None for whatever has no such method, or no two classes."""
    method = getattr(part, "get_probability_threshold", None)
    try:
        return None if method is None else float(method())
    except Exception:  # noqa: BLE001 - whatever it raises where there is none
        return None


def _held_threshold(holder: Any, classes: tuple[Any, ...]) -> float | None:
    """As a threshold on the probability of `classes[1]`, from which on its label is given."""
    if _goes_by_decision(holder):
        return None
    value, held = _value(holder), _held_class(holder)
    if not isinstance(value, float) or not 0 <= value <= 1 or held not in classes:
        return None
    return value if held == classes[1] else _of_other_class(value)


def _goes_by_decision(holder: Any) -> bool:
    return getattr(holder, "response_method", "auto") == "decision_function"


def _value(holder: Any) -> Any:
    value = _threshold_of_booster(holder)
    if value is None:
        value = getattr(holder, "best_threshold_", None)
    if value is None:
        value = getattr(holder, "threshold", None)
    if isinstance(value, str):  # "auto"
        return 0.0 if _goes_by_decision(holder) else _PLAIN
    return None if value is None else float(value)


def _held_class(holder: Any) -> Any:
    """The class whose probability is held against the threshold."""
    positive = getattr(holder, "pos_label", None)
    return plain_label(holder.classes_[1] if positive is None else positive)


def _of_other_class(threshold: float) -> float | None:
    """From which probability on the other class is given: the first above 1 - `threshold`, where this one still is.

    None where there is no such probability. 1 - 0.9 is a little below 0.1, which a share of ten may be.
    """
    rest = max(1 - threshold, round(1 - threshold, 15))
    return math.nextafter(rest, math.inf) if rest < 1 else None
