"""From a fitted pipeline to the sum that it is. What is not known here in full, to the last option, is not linear."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import partial
from typing import Any

import numpy as np
from sklearn.compose import ColumnTransformer
from sklearn.impute import SimpleImputer
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import Pipeline
from sklearn.preprocessing import FunctionTransformer, OneHotEncoder, StandardScaler

from shared.models.signature import FeatureKind, FeatureSpec, Signature
from worker.models.linear.compiled import LinearModel, Operation, Term, WordWeights
from worker.models.own_methods import hides_methods


class NotLinear(Exception):
    """The estimator has a part that is not known here."""


@dataclass(frozen=True, slots=True)
class _Stage:
    """The columns somewhere in the pipeline. `names` are known only while the columns are those of the frame."""

    terms: list[Term]
    names: tuple[str, ...] | None = None


def compile_linear(estimator: Any, signature: Signature, positive_column: int) -> LinearModel:
    """The sum behind the probability in `positive_column`.

    Raises NotLinear where it is not known to be such a sum, and whatever else an estimator's attributes raise: both
    mean that scikit-learn scores.
    """
    if type(estimator) is not Pipeline or hides_methods(estimator):
        raise NotLinear(type(estimator).__name__)
    fitted_on = getattr(estimator, "feature_names_in_", None)
    if fitted_on is not None and list(fitted_on) != list(signature.names):
        raise NotLinear("features in another order")
    if any(spec.dtype == "float32" for spec in signature.features):
        raise NotLinear("float32, in which scikit-learn would compute")
    stage = _Stage([Term(place) for place in range(len(signature.features))], signature.names)
    *steps, classifier = [step for _, step in estimator.steps]
    for step in steps:
        stage = _through(step, stage)
    weights, intercept = _last(classifier, len(stage.terms), positive_column)
    intercept += float(sum(weight * term.offset for weight, term in zip(weights, stage.terms, strict=True)))
    scaled = [
        replace(term, scale=float(weight) * term.scale, offset=0.0)
        for weight, term in zip(weights, stage.terms, strict=True)
    ]
    return _model(intercept, scaled, signature)


def _last(step: Any, width: int, positive_column: int) -> tuple[Any, float]:
    """The weights and the intercept of the positive class."""
    if type(step) is not LogisticRegression or hides_methods(step) or len(step.classes_) != 2:
        raise NotLinear(type(step).__name__)
    if getattr(step, "multi_class", "auto") not in ("auto", "deprecated", "ovr"):
        raise NotLinear("a multinomial regression")
    if step.coef_.shape != (1, width) or step.coef_.dtype != np.float64:
        raise NotLinear("weights of another number or type")
    sign = 1.0 if positive_column == 1 else -1.0
    return sign * step.coef_[0], sign * float(np.ravel(step.intercept_)[0])


def _model(intercept: float, terms: list[Term], signature: Signature) -> LinearModel:
    grouped: dict[int, list[Term]] = {}
    for term in terms:
        grouped.setdefault(term.feature, []).append(term)
    numbers, words = {}, {}
    for place, group in grouped.items():
        spec = signature.features[place]
        if len({term.fill for term in group}) > 1:
            raise NotLinear(f"{spec.name} is filled in two ways")
        if spec.kind is FeatureKind.CATEGORY:
            words[place] = _word_weights(group, spec)
        else:
            numbers[place] = _numeric(group, spec)
    return LinearModel(intercept, numbers, words)


def _numeric(group: list[Term], spec: FeatureSpec) -> list[Term]:
    if spec.dtype not in ("int64", "float64", "bool") or any(term.operation is Operation.CATEGORY for term in group):
        raise NotLinear(f"{spec.name} is no number")
    if any(isinstance(term.fill, str) for term in group):
        raise NotLinear(f"{spec.name} is filled with a text")
    return group


def _word_weights(group: list[Term], spec: FeatureSpec) -> WordWeights:
    if any(term.operation is not Operation.CATEGORY for term in group):
        raise NotLinear(f"{spec.name} is a text that is not encoded")
    weights: dict[str, float] = {}
    empty: list[float] = []
    for term in group:
        if isinstance(term.argument, str):
            weights[str(term.argument)] = weights.get(term.argument, 0.0) + term.scale
        elif _is_missing_in(term.argument, spec):
            empty.append(term.scale)
    unknown = 0.0 if all(term.takes_unknown for term in group) else None
    return WordWeights(weights, unknown, _missing_weight(group[0].fill, spec, weights, empty, unknown))


def _missing_weight(
    fill: Any, spec: FeatureSpec, weights: dict[str, float], empty: Sequence[float], unknown: float | None
) -> float | None:
    if fill is None:
        return sum(empty) if empty else unknown
    if not isinstance(fill, str) or spec.missing == "none":  # None is no gap to an imputer of NaN
        raise NotLinear(f"{spec.name} is filled with {fill!r}")
    return weights.get(fill, unknown)


def _is_missing_in(category: Any, spec: FeatureSpec) -> bool:
    is_nan = isinstance(category, float) and np.isnan(category)
    return is_nan if spec.missing == "nan" else category is None


def _through(step: Any, stage: _Stage) -> _Stage:
    """The columns after one fitted step."""
    if step is None or (isinstance(step, str) and step == "passthrough"):
        return stage
    handler = _HANDLERS.get(type(step))
    if handler is None or hides_methods(step):
        raise NotLinear(type(step).__name__)
    return handler(step, stage)


def _select(step: ColumnTransformer, stage: _Stage) -> _Stage:
    if step.transformer_weights:
        raise NotLinear("weights of transformers")
    selected: list[Term] = []
    for _, part, chosen in step.transformers_:
        places = _places(chosen, stage)
        if not places or (isinstance(part, str) and part == "drop"):
            continue
        names = None if stage.names is None else tuple(stage.names[place] for place in places)
        selected += _through(part, _Stage([stage.terms[place] for place in places], names)).terms
    return _Stage(selected)


def _places(chosen: Any, stage: _Stage) -> list[int]:
    """The places of the columns that a ColumnTransformer has chosen by names, places, slice or mask."""
    width = len(stage.terms)
    if isinstance(chosen, slice):
        return list(range(width))[_place_slice(chosen, stage.names)]
    if isinstance(chosen, (str, int, np.integer)) or callable(chosen):
        raise NotLinear("a column chosen by itself")
    keys = list(chosen)
    if keys and all(isinstance(key, (bool, np.bool_)) for key in keys):
        if len(keys) != width:
            raise NotLinear("a mask of another length")
        return [place for place, key in enumerate(keys) if key]
    if all(isinstance(key, str) for key in keys):
        return [_place(key, stage.names) for key in keys]
    if not all(isinstance(key, (int, np.integer)) and not isinstance(key, bool) for key in keys):
        raise NotLinear("columns chosen in an unknown way")
    return [range(width)[int(key)] for key in keys]


def _place_slice(chosen: slice, names: tuple[str, ...] | None) -> slice:
    start, stop = chosen.start, chosen.stop
    if isinstance(start, str) or isinstance(stop, str):  # names: the last is in it
        first = None if start is None else _place(start, names)
        return slice(first, None if stop is None else _place(stop, names) + 1, chosen.step)
    return chosen


def _place(name: Any, names: tuple[str, ...] | None) -> int:
    if names is None or not isinstance(name, str):
        raise NotLinear("columns named after a step")
    return names.index(name)


def _impute(step: SimpleImputer, stage: _Stage) -> _Stage:
    gap = step.missing_values
    if not (isinstance(gap, float) and np.isnan(gap)):
        raise NotLinear("an imputer of another gap than NaN")
    fills = list(step.statistics_)
    if step.add_indicator or len(fills) != len(stage.terms) or not all(term.is_plain for term in stage.terms):
        raise NotLinear("an imputer that does more than fill in")
    return _Stage([_filled(term, fill) for term, fill in zip(stage.terms, fills, strict=True)])


def _filled(term: Term, fill: Any) -> Term:
    if isinstance(fill, str):
        value: float | str = str(fill)
    elif isinstance(fill, (int, float, np.integer, np.floating)) and not isinstance(fill, bool) and np.isfinite(fill):
        value = float(fill)
    else:
        raise NotLinear(f"an imputer that fills in {fill!r}")
    return term if term.fill is not None else replace(term, fill=value)


def _one_hot(step: OneHotEncoder, stage: _Stage) -> _Stage:
    if step.drop is not None or step.min_frequency is not None or step.max_categories is not None:
        raise NotLinear("a one-hot encoder that drops or merges categories")
    if step.handle_unknown not in ("error", "ignore") or np.dtype(step.dtype) != np.float64:
        raise NotLinear("a one-hot encoder with unusual options")
    if not all(term.is_plain for term in stage.terms):
        raise NotLinear("categories of a function")
    takes_unknown = step.handle_unknown == "ignore"
    return _Stage(
        [
            replace(term, operation=Operation.CATEGORY, argument=category, takes_unknown=takes_unknown)
            for term, categories in zip(stage.terms, step.categories_, strict=True)
            for category in categories
        ]
    )


def _apply(step: FunctionTransformer, stage: _Stage) -> _Stage:
    function = step.func
    if function is None:
        return stage
    if step.kw_args or not all(term.is_plain for term in stage.terms):
        raise NotLinear("a function of a function")
    if function is np.log1p:
        return _Stage([replace(term, operation=Operation.LOG1P) for term in stage.terms])
    if type(function) is partial and function.func is np.less_equal and len(function.args) == 1:
        if function.keywords:
            raise NotLinear("a comparison with options")
        grades = np.broadcast_to(function.args[0], len(stage.terms))
        return _Stage(
            [
                replace(term, operation=Operation.AT_LEAST, argument=float(grade))
                for term, grade in zip(stage.terms, grades, strict=True)
            ]
        )
    raise NotLinear(f"the function {function!r}")


def _scale(step: StandardScaler, stage: _Stage) -> _Stage:
    width = len(stage.terms)
    means = step.mean_ if step.with_mean else np.zeros(width)
    scales = step.scale_ if step.with_std else np.ones(width)
    return _Stage(
        [
            replace(term, scale=term.scale / float(scale), offset=(term.offset - float(mean)) / float(scale))
            for term, mean, scale in zip(stage.terms, means, scales, strict=True)
        ]
    )


def _chain(step: Pipeline, stage: _Stage) -> _Stage:
    for _, part in step.steps:
        stage = _through(part, stage)
    return stage


_HANDLERS: dict[type, Callable[[Any, _Stage], _Stage]] = {
    ColumnTransformer: _select,
    SimpleImputer: _impute,
    OneHotEncoder: _one_hot,
    FunctionTransformer: _apply,
    StandardScaler: _scale,
    Pipeline: _chain,
}
