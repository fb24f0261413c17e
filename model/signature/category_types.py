"""The lists of categories that boosters were trained with: codes mean nothing without the list, in its order."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import numpy as np
import pandas as pd

from model.errors import ModelRefused
from model.signature.inside import first_step

_PROBE = ("é", "n")
_MOST_EXACT = 2**53  # up to which every whole number is a double


@dataclass(frozen=True, slots=True)
class CategoryList:
    """The categories of a feature in the order of the training, as texts, and the dtype in which they are given."""

    words: tuple[str, ...]
    dtype: str


def is_booster(estimator: Any) -> bool:
    """Whether a booster of LightGBM or XGBoost meets the frame itself."""
    return type(first_step(estimator)).__module__.partition(".")[0] in ("lightgbm", "xgboost")


def as_lightgbm_was_told(estimator: Any, names: Sequence[str], known: Collection[str]) -> list[str]:
    """The features' names with the blanks that LightGBM makes underscores, where `known` has them so.

    It is asked by position: any names do.
    """
    if type(first_step(estimator)).__module__.partition(".")[0] != "lightgbm":
        return list(names)
    spelled: dict[str, list[str]] = {}
    for name in known:
        spelled.setdefault(name.replace(" ", "_"), []).append(name)
    found = [spelled[name][0] if name not in known and len(spelled.get(name, ())) == 1 else name for name in names]
    return found if len(set(found)) == len(found) else list(names)


def category_lists(estimator: Any, names: Sequence[str], text_columns: Sequence[str]) -> dict[str, CategoryList]:
    """For each feature that a booster took as pandas `category`: its list. Empty for other estimators.

    `text_columns` are the source's columns of texts, which tell lists apart where the file does not say whose they are.
    Raises ModelRefused where the file does not hold the words as they were, or they are of a type that no word is.
    """
    part = first_step(estimator)
    module = type(part).__module__.partition(".")[0]
    if module == "lightgbm":
        return _of_lightgbm(part, names, text_columns)
    if module == "xgboost":
        return _of_xgboost(part, names)
    return {}


def _of_lightgbm(part: Any, names: Sequence[str], text_columns: Sequence[str]) -> dict[str, CategoryList]:
    booster = getattr(part, "booster_", None)
    lists = getattr(booster, "pandas_categorical", None) or []
    if not lists:
        return {}
    codes = _lightgbm_codes(booster, names)
    texts = [name for name in names if name in set(text_columns)]
    possible = [owners for owners in (list(codes), texts) if len(owners) == len(lists)]
    for owners in possible:
        if all(codes.get(name, -1) < len(words) for name, words in zip(owners, lists, strict=True)):
            return {name: _listed(name, words) for name, words in zip(owners, lists, strict=True) if words}
    if not possible:
        return {}
    raise ModelRefused(
        f"The file has {len(lists)} lists of categories and does not say whose they are. Name all features in order "
        'with --signature FILE, and the categories of each in the order of the training: {"features": [{"name": '
        f'"{possible[0][0]}", "kind": "category", "dtype": "category", "categories": ["north", "south"], '
        '"nullable": true}, …]}'
    )


def _lightgbm_codes(booster: Any, names: Sequence[str]) -> dict[str, int]:
    """The features whose splits are sets of categories, and the highest code of each: the file has `0:1:2` for those.

    Whole numbers that were named as categories are among them; their codes are the numbers themselves.
    """
    infos = booster.dump_model(num_iteration=1).get("feature_infos", {})
    values = {place: infos.get(key, {}).get("values") for place, key in enumerate(booster.feature_name())}
    return {names[place]: int(max(found)) for place, found in values.items() if found}


def _of_xgboost(part: Any, names: Sequence[str]) -> dict[str, CategoryList]:
    booster = part.get_booster()
    types = booster.feature_types or []
    if "c" not in types or not hasattr(booster, "get_categories"):
        return {}
    lists = {}
    for place, (_, words) in enumerate(booster.get_categories(export_to_arrow=True).to_arrow()):
        if words is not None and place < len(names):
            plain = _words_of_xgboost(words, names[place])
            if plain:
                lists[names[place]] = _listed(names[place], plain, str(words.type))
    return lists


def _words_of_xgboost(words: Any, name: str) -> list[Any]:
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
        '["north", "south"], "nullable": true}, …]}'
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


def _listed(name: str, words: Sequence[Any], number_type: str = "int64") -> CategoryList:
    """The list as a signature has it. `number_type` is that of whole numbers, where the file tells it."""
    plain = [word.item() if isinstance(word, np.generic) else word for word in words]
    kinds = {type(word) for word in plain}
    if kinds == {str}:
        return CategoryList(tuple(plain), "category")
    if kinds == {bool}:
        return CategoryList(tuple("true" if word else "false" for word in plain), "category[bool]")
    if kinds == {int}:
        return CategoryList(tuple(map(str, plain)), f"category[{number_type}]")
    if kinds <= {int, float} and all(word == word for word in plain):
        return CategoryList(tuple(map(_number_text, plain)), "category[float64]")
    raise ModelRefused(
        f"The categories of {name!r} are of type {', '.join(sorted(kind.__name__ for kind in kinds))}: they can be "
        f'texts, numbers or booleans. Train it with {name} as texts: .astype(str).astype("category").'
    )


def _number_text(number: float) -> str:
    """As PostgreSQL writes it: 3 and not 3.0."""
    return str(int(number)) if float(number).is_integer() and abs(number) <= _MOST_EXACT else repr(number)
