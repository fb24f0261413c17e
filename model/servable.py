"""Whether an object is a model that can be served, for which task, and which classes it knows. If not, what to do."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import date
from typing import Any

import numpy as np
from sklearn.base import BaseEstimator, ClusterMixin, OutlierMixin, is_classifier, is_regressor
from sklearn.exceptions import NotFittedError
from sklearn.utils.validation import check_is_fitted

from model.errors import ArtefactIncompatible, ModelRefused
from model.signature.inside import last_step
from shared.models.task import Task, class_name

_PAIRS = (
    ("no", "yes"), ("non", "oui"), ("nein", "ja"), ("n", "y"), ("f", "t"), ("false", "true"), ("0", "1"), ("-1", "1"),
    ("negative", "positive"), ("neg", "pos"), ("0.0", "1.0"), ("-1.0", "1.0"),
)  # fmt: skip
_MOST_CLASSES = 1000
_LIBRARIES = ("sklearn", "imblearn", "lightgbm", "xgboost", "catboost")  # whose fit sets the classes


@dataclass(frozen=True, slots=True)
class Servable:
    """The task of an estimator and the classes it knows, as Python values in its own order."""

    task: Task
    known: tuple[Any, ...]


def servable(estimator: Any) -> Servable:
    """What `estimator` answers. Raises ArtefactIncompatible with advice where it cannot be served."""
    words = _no_model(estimator) or _unsuited(estimator)
    if words:
        raise ArtefactIncompatible(words)
    if hasattr(estimator, "predict_proba"):
        return _classifier(estimator)
    _require_fitted(estimator)
    if int(getattr(last_step(estimator), "n_outputs_", 1) or 1) > 1:
        raise ArtefactIncompatible(f"{_name(estimator)} answers with several numbers a row. Save one model for each.")
    return Servable(Task.REGRESSION, ())


def _no_model(found: Any) -> str | None:
    kind = type(found).__name__
    if isinstance(found, dict):
        inside = [key for key, value in found.items() if hasattr(value, "predict")]
        keys = ", ".join(str(key)[:40] for key in list(found)[:10])
        which = f"joblib.dump(bundle[{inside[0]!r}], …)" if inside else "joblib.dump(model, …)"
        return f"The file holds a dict with {keys or 'no keys'}: save the model alone, with {which}"
    if isinstance(found, (list, tuple, set)):
        inside = [type(item).__name__ for item in found if hasattr(item, "predict")]
        what = f"a {kind} with {', '.join(inside)} in it" if inside else f"a {kind}"
        return f"The file holds {what}: save the model alone, with joblib.dump(model, …)"
    if isinstance(found, type):
        return f"The file holds the class {found.__name__}: save a fitted object of it."
    if not hasattr(found, "predict") and not hasattr(found, "predict_proba"):
        if hasattr(found, "transform") and hasattr(found, "fit"):
            return f"{kind} makes features and no answers: save the fitted pipeline that ends in the model."
        if hasattr(found, "fit_predict"):
            return _clusters(kind)
        return f"The file holds a {kind}, which is no model: it has neither predict_proba nor predict."
    return None


def _unsuited(estimator: Any) -> str | None:
    last = last_step(estimator)
    name = _name(estimator)
    module = type(last).__module__.partition(".")[0]
    if module in ("lightgbm", "xgboost", "catboost") and type(last).__name__ in ("Booster", "CatBoost"):
        return f"{name} is a raw booster: save the fitted {_booster_class(module)} that it belongs to."
    if isinstance(last, ClusterMixin):
        return _clusters(name)
    if isinstance(last, OutlierMixin):
        return f"{name} looks for outliers, which no task here stands for. Save a classifier or a regression."
    if hasattr(estimator, "predict_proba"):
        return None
    if _is(is_regressor, last):  # asked first: CatBoost's regressor has classes, none of them
        return None
    if _is(is_classifier, last) or hasattr(last, "classes_") or hasattr(last, "decision_function"):
        return _without_probabilities(last, name)
    if hasattr(last, "transform"):
        return f"{name} makes features and no answers: save the fitted pipeline that ends in the model."
    return None


def _clusters(name: str) -> str:
    return (
        f"{name} finds clusters: its numbers mean nothing from one fit to the next. Save a classifier or a regression."
    )


def _without_probabilities(last: Any, name: str) -> str:
    if type(last).__name__ == "VotingClassifier":
        return f'{name} with voting="hard" tells no probabilities. Fit it with voting="soft".'
    return f"{name} tells no probabilities. Fit it inside CalibratedClassifierCV, and save that."


def _booster_class(module: str) -> str:
    return {"lightgbm": "LGBMClassifier or LGBMRegressor", "xgboost": "XGBClassifier or XGBRegressor"}.get(
        module, "CatBoostClassifier or CatBoostRegressor"
    )


def _is(question: Any, estimator: Any) -> bool:
    try:
        return bool(question(estimator))
    except Exception:  # noqa: BLE001 - an estimator of others without scikit-learn's tags is simply none of these
        return False


def _name(estimator: Any) -> str:
    """How the estimator is named to a person: by the part that answers."""
    last = last_step(estimator)
    if last is estimator:
        return type(estimator).__name__
    return f"{type(last).__name__}, which answers inside {type(estimator).__name__},"


def _classifier(estimator: Any) -> Servable:
    classes = _attribute(estimator, "classes_")
    if classes is None:
        raise ArtefactIncompatible(_without_classes(estimator))
    if _has_several_labels(estimator, classes):
        raise ArtefactIncompatible(f"{_name(estimator)} gives a row several labels. Save one model for each label.")
    known = tuple(map(plain_label, classes))
    if len(known) < 2:
        raise ArtefactIncompatible(
            f"{_name(estimator)} knows one class alone, {_names(known)}. Train it on rows of both classes."
        )
    if len(known) > _MOST_CLASSES:
        raise ArtefactIncompatible(f"{_name(estimator)} knows {len(known)} classes; the most is {_MOST_CLASSES}.")
    return Servable(Task.BINARY if len(known) == 2 else Task.MULTICLASS, known)


def _without_classes(estimator: Any) -> str:
    own = next((part for part in (last_step(estimator), estimator) if _is_of_others(part)), None)
    if own is None:
        return f"{type(estimator).__name__} is not fitted. Call fit before saving it."
    inside = [key for key, part in _attributes(own) if _attribute(part, "classes_") is not None]
    what = f"self.classes_ = self.{inside[0]}.classes_" if inside else "self.classes_ = np.unique(y)"
    return (
        f"{type(own).__name__} has predict_proba and no classes_: nothing tells which class each column of its "
        f"probabilities belongs to. Set {what}, in the order of these columns, in its fit; then fit it and save it."
    )


def _is_of_others(part: Any) -> bool:
    """Whether it is of a class that none of the known libraries has made, and knows no classes."""
    return type(part).__module__.partition(".")[0] not in _LIBRARIES and _attribute(part, "classes_") is None


def _attribute(part: Any, key: str) -> Any:
    try:
        return getattr(part, key, None)
    except Exception:  # noqa: BLE001 - a property of others may raise anything where nothing was fitted
        return None


def _attributes(estimator: Any) -> list[tuple[str, Any]]:
    return list(vars(estimator).items()) if hasattr(estimator, "__dict__") else []


def _has_several_labels(estimator: Any, classes: Any) -> bool:
    last = last_step(estimator)
    if isinstance(classes, (list, tuple)) and any(np.ndim(item) > 0 for item in classes):
        return True
    binarizer = getattr(last, "_label_binarizer", None)
    kinds = (getattr(binarizer, "y_type_", ""), getattr(getattr(last, "label_binarizer_", None), "y_type_", ""))
    return bool(getattr(last, "multilabel_", False)) or any(str(kind).startswith("multilabel") for kind in kinds)


def plain_label(label: Any) -> Any:
    """A class as a bool, an int, a float or a str. Raises ArtefactIncompatible for another type."""
    is_time = isinstance(label, (np.datetime64, np.timedelta64))  # whose item() may be a number of nanoseconds
    value = label.item() if isinstance(label, np.generic) and not is_time else label
    if isinstance(value, (bool, int, float)):
        return value
    if isinstance(value, str):
        return str(value)
    advice = " Train it on them as texts." if is_time or isinstance(value, date) else ""
    raise ArtefactIncompatible(
        f"The model's classes are of type {type(value).__name__}; they can be texts, numbers or booleans.{advice}"
    )


def _require_fitted(estimator: Any) -> None:
    if not isinstance(estimator, BaseEstimator):
        return
    try:
        check_is_fitted(estimator)
    except NotFittedError:
        raise ArtefactIncompatible(f"{type(estimator).__name__} is not fitted. Call fit before saving it.") from None
    except (TypeError, AttributeError):
        return


def ordered_classes(found: Servable, positive: Any = None) -> tuple[Any, ...]:
    """The classes of a version: of a binary model the negative one, then the positive one.

    `positive` as a person wrote it, or None where it is to be inferred. Raises ModelRefused.
    """
    if found.task is not Task.BINARY:
        if positive is not None:
            raise ModelRefused(f"--positive is for models of two classes; this one is a {found.task.value} model.")
        return found.known
    place = _plain_positive(found.known) if positive is None else _named(found.known, positive)
    return found.known[1 - place], found.known[place]


def _plain_positive(known: tuple[Any, ...]) -> int:
    words = tuple(str(label).strip().lower() for label in known)
    for negative, positive in _PAIRS:
        if set(words) == {negative, positive}:
            return words.index(positive)
    raise ModelRefused(f"Which class is the positive one? The model knows {_names(known)}. Say --positive CLASS")


def _named(known: tuple[Any, ...], positive: Any) -> int:
    text = str(positive)
    ways: tuple[Callable[[Any], bool], ...] = (
        lambda label: bool(label == positive) and type(label) is type(positive),
        lambda label: text in (class_name(label), str(label)),
        lambda label: str(label).strip().lower() == text.strip().lower(),
        lambda label: not isinstance(label, str) and _number_in(text) == label,
    )
    for fits in ways:
        found = [place for place, label in enumerate(known) if fits(label)]
        if len(found) == 1:
            return found[0]
    raise ModelRefused(f"The model knows the classes {_names(known)}; the positive class {text!r} is not among them.")


def _number_in(text: str) -> float | None:
    try:
        return float(text)
    except ValueError:
        return None


def _names(known: tuple[Any, ...]) -> str:
    return ", ".join(class_name(label) for label in known[:20])
