"""The lists of categories that boosters were trained with: codes mean nothing without the list, in its order."""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache
from typing import Any

import pandas as pd

from model.errors import ModelRefused
from model.signature.inside import first_step

_PROBE = ("é", "n")


def is_booster(estimator: Any) -> bool:
    """Whether a booster of LightGBM or XGBoost meets the frame itself."""
    return type(first_step(estimator)).__module__.partition(".")[0] in ("lightgbm", "xgboost")


def category_lists(estimator: Any, names: Sequence[str], text_columns: Sequence[str]) -> dict[str, tuple[str, ...]]:
    """For each feature that a booster took as pandas `category`: its words in order. Empty for other estimators.

    `text_columns` are the source's columns of texts, which tell lists apart where the file does not say whose they are.
    Raises ModelRefused where the file does not hold the words as they were.
    """
    part = first_step(estimator)
    module = type(part).__module__.partition(".")[0]
    if module == "lightgbm":
        return _of_lightgbm(part, names, text_columns)
    if module == "xgboost":
        return _of_xgboost(part, names)
    return {}


def _of_lightgbm(part: Any, names: Sequence[str], text_columns: Sequence[str]) -> dict[str, tuple[str, ...]]:
    booster = getattr(part, "booster_", None)
    lists = getattr(booster, "pandas_categorical", None) or []
    if not lists:
        return {}
    owners = _lightgbm_columns(booster, names)
    if len(owners) != len(lists):
        owners = [name for name in names if name in set(text_columns)]
    if len(owners) != len(lists):
        return {}
    return {name: tuple(map(str, words)) for name, words in zip(owners, lists, strict=True) if _are_texts(words)}


def _lightgbm_columns(booster: Any, names: Sequence[str]) -> list[str]:
    """The features whose splits are sets of categories, as the file itself lists their ranges: `0:1:2` for those."""
    infos = booster.dump_model(num_iteration=1).get("feature_infos", {})
    stored = booster.feature_name()
    found = [place for place, key in enumerate(stored) if "values" in infos.get(key, {}) and infos[key]["values"]]
    return [names[place] for place in found]


def _of_xgboost(part: Any, names: Sequence[str]) -> dict[str, tuple[str, ...]]:
    booster = part.get_booster()
    types = booster.feature_types or []
    if "c" not in types or not hasattr(booster, "get_categories"):
        return {}
    lists = {}
    for place, (_, words) in enumerate(booster.get_categories(export_to_arrow=True).to_arrow()):
        if words is not None and place < len(names):
            texts = _texts_of_xgboost(words, names[place])
            if _are_texts(texts):
                lists[names[place]] = tuple(texts)
    return lists


def _texts_of_xgboost(words: Any, name: str) -> list[Any]:
    """The words of a list. Releases of XGBoost cut it as if each letter were one byte: then it is lost."""
    try:
        texts: list[Any] = words.to_pylist()
    except UnicodeDecodeError:
        texts = []
    if (texts and all(not isinstance(word, str) or word.isascii() for word in texts)) or _xgboost_keeps_letters():
        return texts
    raise ModelRefused(
        f"The file does not hold the categories of {name!r} as they were: this release of XGBoost garbles words with "
        "letters beyond a to z. Name all features in order with --signature FILE, and their categories in the order of "
        f'the training: {{"features": [{{"name": "{name}", "kind": "category", "dtype": "category", "categories": '
        '["north", "south"]}, …]}'
    )


@lru_cache(maxsize=1)
def _xgboost_keeps_letters() -> bool:
    import xgboost  # noqa: PLC0415 - an extra

    frame = pd.DataFrame({"word": pd.Categorical(list(_PROBE), categories=list(_PROBE))})
    try:
        found = xgboost.DMatrix(frame, enable_categorical=True).get_categories(export_to_arrow=True).to_arrow()
        words: Any = found[0][1]
        return words is not None and tuple(words.to_pylist()) == _PROBE
    except UnicodeDecodeError:
        return False


def _are_texts(words: Sequence[Any]) -> bool:
    return bool(words) and all(isinstance(word, str) for word in words)
