"""What a fitted estimator holds inside: which of its parts sees which feature, as it is or with its gaps filled.

Everything here is read off attributes that fitted estimators of scikit-learn have; an estimator of others that has
none of them shows nothing, and so does an attribute that holds something else: a class of somebody's own may call a
number `steps`. Nothing is called.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

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
        steps = steps_of(found)
        if not steps:
            return found
        estimator = steps[-1]
    return estimator


def first_step(estimator: Any) -> Any:
    """The part that meets the features first."""
    for _ in range(10):
        found = inner(estimator)
        steps = [step for step in steps_of(found) if not _is_nothing(step)]
        if not steps:
            calibrated = _calibrated(found)
            if not calibrated:
                return found
            estimator = calibrated[0]
        else:
            estimator = steps[0]
    return estimator


def steps_of(estimator: Any) -> list[Any]:
    """The steps of a pipeline, in order; empty for what is none."""
    return [step for _, step in _tuples(estimator, "steps", 2)]


def categories_of(sight: Sight) -> list[Any]:
    """What an encoder has learnt of a feature; empty for what is no encoder."""
    try:
        found = sight.part.categories_[sight.place]
        return [] if isinstance(found, str) else list(found)
    except (AttributeError, TypeError, IndexError, KeyError):
        return []


def refuses_others(sight: Sight) -> bool:
    """Whether it is an encoder that refuses what it has not learnt."""
    found = getattr(sight.part, "handle_unknown", None)
    return isinstance(found, str) and found == "error"


def _tuples(part: Any, name: str, width: int) -> list[Any]:
    """A list of tuples that an attribute holds; empty where it holds anything else."""
    found = getattr(part, name, None)
    if not isinstance(found, list) or not all(isinstance(item, (tuple, list)) and len(item) == width for item in found):
        return []
    return found


def _calibrated(part: Any) -> list[Any]:
    """The estimators that were calibrated, one for each fold."""
    found = getattr(part, "calibrated_classifiers_", None)
    return [each.estimator for each in found if hasattr(each, "estimator")] if isinstance(found, list) else []


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
    if encoder := _encoder_inside(part):
        yield from _walk(encoder, names, is_filled=is_filled, depth=depth + 1)
        names = [name for _, _, chosen in _tuples(encoder, "transformers_", 3) for name in _chosen(chosen, names)]
    if steps := steps_of(part):
        yield from _walk_steps(steps, names, is_filled=is_filled, depth=depth)
    elif transformers := _tuples(part, "transformers_", 3):
        for _, child, chosen in transformers:
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


def _encoder_inside(part: Any) -> Any:
    """What boosting by histograms encodes its categories with before it looks at them; None where there are none."""
    found = getattr(part, "_preprocessor", None) if type(part).__name__.startswith("HistGradientBoosting") else None
    return found if _tuples(found, "transformers_", 3) else None


def _children(part: Any) -> Iterator[Any]:
    """The estimators inside that get the same columns."""
    wrapped = inner(part)
    if wrapped is not part:
        yield wrapped
        return
    yield from _calibrated(part)
    name = type(part).__name__
    inside = getattr(part, "estimators_", None)
    if name.startswith(("Stacking", "Voting", "OneVsRest", "OneVsOne")) and isinstance(inside, (list, tuple)):
        yield from inside
    if name == "FrozenEstimator" and hasattr(part, "estimator"):
        yield part.estimator
    if name == "FeatureUnion":
        yield from (child for _, child in _tuples(part, "transformer_list", 2))


def _keeps_values(step: Any) -> bool:
    """Whether its columns are the features still: of nothing, an imputer that only fills in, a sampler."""
    if _is_nothing(step) or (hasattr(step, "fit_resample") and not hasattr(step, "transform")):
        return True
    if type(step).__name__ in _FILLERS:
        statistics = getattr(step, "statistics_", None)
        is_whole = not isinstance(statistics, np.ndarray) or all(value == value for value in statistics)
        return not getattr(step, "add_indicator", True) and is_whole
    return type(step).__name__ == "FunctionTransformer" and getattr(step, "func", step) is None


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
