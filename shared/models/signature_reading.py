"""Reading a signature strictly: whatever is not understood is refused, with one line per flaw."""

from __future__ import annotations

import json
import math
import unicodedata
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import fields
from difflib import get_close_matches
from typing import Any

from shared.errors import PredictqError
from shared.models.feature import DTYPES, MISSING, FeatureKind, FeatureSpec, default_dtype, dtype_flaw, is_storable

LONGEST_NAME = 200
_LONGEST_TEXT = 2000
_KEYS = tuple(field.name for field in fields(FeatureSpec))
_TEXTS = ("column_type", "title", "unit", "description")
_MOST_FLAWS = 20
_EXAMPLE = '{"features": [{"name": "size", "kind": "integer"}, …]}'


class SignatureRefused(PredictqError, ValueError):
    """A signature is not one. `flaws` has a line for each thing that is wrong."""

    def __init__(self, flaws: Sequence[str]) -> None:
        more = len(flaws) - _MOST_FLAWS
        lines = [*flaws[:_MOST_FLAWS], f"… and {more} more"] if more > 0 else list(flaws)
        super().__init__("\n".join(lines))
        self.flaws = tuple(flaws)


def read_signature_text(text: str) -> Any:
    """The JSON of a signature file. Raises SignatureRefused where it is none, or where a key comes twice."""
    try:
        return json.loads(text, object_pairs_hook=_without_doubles)
    except RecursionError:
        raise SignatureRefused(["it is nested too deeply"]) from None
    except ValueError as error:
        if isinstance(error, SignatureRefused):
            raise
        raise SignatureRefused([f"it is not JSON: {error}"]) from None


def _without_doubles(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) < len(pairs):
        seen: set[str] = set()
        double = next(key for key, _ in pairs if key in seen or seen.add(key))  # type: ignore[func-returns-value]
        raise SignatureRefused([f"the key {double!r} comes twice in one object"])
    return found


def read_features(data: object) -> tuple[FeatureSpec, ...]:
    """The features of a signature in JSON. Raises SignatureRefused."""
    if not isinstance(data, Mapping) or not isinstance(data.get("features"), list):
        raise SignatureRefused([f"a signature looks like {_EXAMPLE}"])
    flaws = [f"unknown key {key!r} beside 'features'" for key in data if key != "features"]
    items = data["features"]
    if not items:
        flaws.append("it has no features")
    names: set[str] = set()
    for number, item in enumerate(items, start=1):
        where = f"feature {number}"
        if not isinstance(item, Mapping):
            flaws.append(f"{where}: must be an object such as {{'name': 'size', 'kind': 'integer'}}")
            continue
        name = item.get("name")
        if isinstance(name, str):
            where = f"feature {number} ({name[:60]!r})"
            if name in names:
                flaws.append(f"{where}: there is another feature of this name")
            names.add(name)
        flaws += [f"{where}: {flaw}" for flaw in _flaws(item)]
    if flaws:
        raise SignatureRefused(flaws)
    return tuple(_spec(item) for item in items)


def open_gaps(data: Mapping[str, Any]) -> frozenset[str]:
    """The features of a signature that is one, in JSON, which do not say whether they may be missing.

    What names a dtype that cannot hold a missing value has said so.
    """
    return frozenset(item["name"] for item in data["features"] if item.get("nullable") is None and _can_have_gap(item))


def _can_have_gap(item: Mapping[str, Any]) -> bool:
    dtype, categories = item.get("dtype"), item.get("categories") or ()
    return not dtype or dtype_flaw(FeatureKind(item["kind"]), dtype, nullable=True, categories=categories) is None


def _spec(item: Mapping[str, Any]) -> FeatureSpec:
    values = {key: value for key, value in item.items() if value is not None}
    kind = FeatureKind(values["kind"])
    return FeatureSpec(**{**values, "kind": kind, "categories": tuple(values.get("categories", ()))})


def _flaws(item: Mapping[str, Any]) -> Iterator[str]:
    yield from _unknown_keys(item)
    yield from _name_flaws(item.get("name"))
    kind = item.get("kind")
    if not isinstance(kind, str) or kind not in list(FeatureKind):
        yield f"kind is one of {', '.join(FeatureKind)}; got {_short(kind)}"
        return
    kind = FeatureKind(kind)
    nullable = item.get("nullable")
    if nullable is not None and not isinstance(nullable, bool):
        yield f"nullable is true or false; got {_short(nullable)}"
    yield from _category_flaws(kind, item.get("categories"))
    yield from _bound_flaws(kind, item.get("minimum"), item.get("maximum"))
    yield from _dtype_flaws(kind, item)
    for key in _TEXTS:
        yield from _text_flaws(key, item.get(key))


def _unknown_keys(item: Mapping[str, Any]) -> Iterator[str]:
    for key in item:
        if key not in _KEYS:
            near = get_close_matches(str(key), _KEYS, n=1)
            yield f"unknown key {_short(key)}" + (f": did you mean {near[0]!r}?" if near else f"; there are {_KEYS}")


def _name_flaws(name: object) -> Iterator[str]:
    if not isinstance(name, str):
        yield f"name is a string; got {_short(name)}"
    elif not name:
        yield "name is empty"
    elif len(name) > LONGEST_NAME:
        yield f"name has {len(name)} characters, {LONGEST_NAME} is the most"
    elif any(unicodedata.category(letter) in ("Cc", "Cs") for letter in name):
        yield "name has a control character"


def _category_flaws(kind: FeatureKind, words: object) -> Iterator[str]:
    if words is None or words in ([], ()):
        return
    if kind is not FeatureKind.CATEGORY:
        yield f"categories are for kind category, this is kind {kind}"
    elif not isinstance(words, (list, tuple)) or not all(isinstance(word, str) for word in words):
        yield f"categories is a list of strings; got {_short(words)}"
    elif len(set(words)) < len(words):
        yield "categories has a word twice"
    elif not all(map(is_storable, words)):
        yield "categories has a word with NUL or a lone surrogate"


def _bound_flaws(kind: FeatureKind, minimum: object, maximum: object) -> Iterator[str]:
    numbers = []
    for key, bound in (("minimum", minimum), ("maximum", maximum)):
        if bound is None:
            continue
        if kind not in (FeatureKind.INTEGER, FeatureKind.NUMBER):
            yield f"{key} is for numbers, this is kind {kind}"
        elif isinstance(bound, bool) or not isinstance(bound, (int, float)):
            yield f"{key} is a number; got {_short(bound)}"
        elif not math.isfinite(bound):
            yield f"{key} is a finite number; got {bound}"
        else:
            numbers.append(bound)
    if len(numbers) == 2 and numbers[0] > numbers[1]:
        yield f"minimum {numbers[0]:g} is above maximum {numbers[1]:g}"


def _dtype_flaws(kind: FeatureKind, item: Mapping[str, Any]) -> Iterator[str]:
    nullable = item.get("nullable") is True
    dtype = item.get("dtype") or default_dtype(kind, nullable=nullable)
    if not isinstance(dtype, str):
        yield f"dtype of kind {kind} is one of {', '.join(DTYPES[kind])}; got {_short(dtype)}"
        return
    words = item.get("categories")
    known = [word for word in words if isinstance(word, str)] if isinstance(words, (list, tuple)) else []
    flaw = dtype_flaw(kind, dtype, nullable=nullable, categories=known)
    if flaw:
        yield flaw
    missing = item.get("missing")
    if missing is None:
        return
    if not isinstance(missing, str) or missing not in MISSING:
        yield f"missing is one of {', '.join(MISSING)}; got {_short(missing)}"
    elif missing == "none" and dtype != "object":
        yield f"missing none is for dtype object, this is dtype {dtype}"


def _text_flaws(key: str, text: object) -> Iterator[str]:
    if text is None:
        return
    if not isinstance(text, str):
        yield f"{key} is a string; got {_short(text)}"
    elif len(text) > _LONGEST_TEXT:
        yield f"{key} has {len(text)} characters, {_LONGEST_TEXT} is the most"
    elif any(unicodedata.category(letter) in ("Cc", "Cs") and letter not in "\n\t" for letter in text):
        yield f"{key} has a control character"


def _short(value: object) -> str:
    text = repr(value)
    return text if len(text) <= 60 else f"{text[:57]}…"
