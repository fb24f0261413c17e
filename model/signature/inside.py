"""What a fitted estimator holds inside: which of its parts sees which feature, as it is or with its gaps filled.

Everything here is read off attributes that fitted estimators of scikit-learn have; an estimator of others that has
none of them shows nothing. Nothing is called.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

Names = Sequence[str]

# Attributes under which one fitted estimator holds another that gets the same features.
_WRAPPED = ("best_estimator_", "estimator_", "regressor_", "classifier_")
_FILLERS = ("SimpleImputer", "KNNImputer", "IterativeImputer")


@dataclass(frozen=True, slots=True)
class Sight:
    """A fitted part that sees a feature, as its column number `place`. `is_filled`: an imputer stood before it."""

    feature: str
    part: Any
    place: int
    is_filled: bool = False


def sights(estimator: Any, names: Names) -> list[Sight]:
    """Each part that sees a feature of the frame, in the order in which the values pass."""
    return list(_walk(estimator, list(names), is_filled=False, depth=0))


def inner(estimator: Any) -> Any:
    """What a search, a calibration or a chosen threshold was put around; the estimator itself where it is plain."""
    for _ in range(10):
        wrapped = next((getattr(estimator, key) for key in _WRAPPED if hasattr(estimator, key)), None)
        # What an ensemble calls so is a pattern that was never fitted; what selects columns gives it others.
        if wrapped is None or hasattr(estimator, "estimators_") or hasattr(estimator, "support_"):
            return estimator
        estimator = wrapped
    return estimator


def last_step(estimator: Any) -> Any:
    """The part that answers: the last step of pipelines, inside of what was put around them."""
    for _ in range(10):
        found = inner(estimator)
        steps = getattr(found, "steps", None)
        if not isinstance(steps, list) or not steps:
            return found
        estimator = steps[-1][1]
    return estimator


def first_step(estimator: Any) -> Any:
    """The part that meets the features first."""
    for _ in range(10):
        found = inner(estimator)
        steps = [step for _, step in getattr(found, "steps", None) or [] if not _is_nothing(step)]
        if not steps:
            calibrated = getattr(found, "calibrated_classifiers_", None)
            if not calibrated:
                return found
            estimator = calibrated[0].estimator
        else:
            estimator = steps[0]
    return estimator


def _is_nothing(step: Any) -> bool:
    return step is None or (isinstance(step, str) and step in ("passthrough", "drop"))


def _walk(part: Any, names: list[str], *, is_filled: bool, depth: int) -> Iterator[Sight]:
    if depth > 20 or _is_nothing(part):
        return
    children = list(_children(part))
    if children:
        for child in children:
            yield from _walk(child, names, is_filled=is_filled, depth=depth + 1)
        return
    if isinstance(getattr(part, "steps", None), list):
        yield from _walk_steps([step for _, step in part.steps], names, is_filled=is_filled, depth=depth)
    elif hasattr(part, "transformers_"):
        for _, child, chosen in part.transformers_:
            found = _chosen(chosen, names)
            if found:
                yield from _walk(child, found, is_filled=is_filled, depth=depth + 1)
    else:
        for place, name in enumerate(names):
            yield Sight(name, part, place, is_filled)


def _walk_steps(steps: list[Any], names: list[str], *, is_filled: bool, depth: int) -> Iterator[Sight]:
    for step in steps:
        yield from _walk(step, names, is_filled=is_filled, depth=depth + 1)
        if _keeps_values(step):
            is_filled = is_filled or type(step).__name__ in _FILLERS
        else:
            return  # the columns after it are no features any more


def _children(part: Any) -> Iterator[Any]:
    """The estimators inside that get the same columns."""
    wrapped = inner(part)
    if wrapped is not part:
        yield wrapped
        return
    for calibrated in getattr(part, "calibrated_classifiers_", None) or []:
        yield calibrated.estimator
    name = type(part).__name__
    if name.startswith(("Stacking", "Voting", "OneVsRest", "OneVsOne")):
        yield from getattr(part, "estimators_", None) or []
    if name == "FrozenEstimator":
        yield part.estimator
    if name == "FeatureUnion":
        yield from (child for _, child in part.transformer_list)


def _keeps_values(step: Any) -> bool:
    """Whether its columns are the features still: of nothing, an imputer that only fills in, a sampler."""
    if _is_nothing(step) or (hasattr(step, "fit_resample") and not hasattr(step, "transform")):
        return True
    if type(step).__name__ in _FILLERS:
        statistics = getattr(step, "statistics_", None)
        return not step.add_indicator and (statistics is None or all(value == value for value in statistics))
    return type(step).__name__ == "FunctionTransformer" and step.func is None


def _chosen(chosen: Any, names: list[str]) -> list[str]:
    """The names of the columns that a ColumnTransformer has chosen."""
    try:
        if isinstance(chosen, str):
            return [chosen]
        if isinstance(chosen, slice):
            start, stop = chosen.start, chosen.stop
            first = names.index(start) if isinstance(start, str) else start
            last = names.index(stop) + 1 if isinstance(stop, str) else stop
            return names[first : last : chosen.step]
        keys = list(chosen) if hasattr(chosen, "__iter__") else [chosen]
        if keys and all(type(key).__name__ in ("bool", "bool_") for key in keys):
            return [name for name, key in zip(names, keys, strict=True) if key]
        return [key if isinstance(key, str) else names[int(key)] for key in keys]
    except (ValueError, IndexError, TypeError):
        return []
