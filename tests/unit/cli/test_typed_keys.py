"""`predictq predict KEY`: what is typed is a number or a text, as the source has it."""

from __future__ import annotations

from typing import Any

import pytest

from cli.arguments.client_key import read_key
from cli.arguments.raw_body import raw_body
from cli.commands.submit import _predict, _predict_raw, key_problem
from cli.errors import FileRefused, GatewayRefused, UsageProblem


class Texts:
    """A gateway whose source has texts for keys, and which says so in other words each time."""

    def predict(self, client_id: object, **_: Any) -> dict[str, Any]:
        if isinstance(client_id, int):
            raise GatewayRefused(422, "no words that anybody should look at", ["invalid_client_id"])
        return {"client_id": client_id}


class Refusing:
    """A gateway that refuses for another reason."""

    def predict(self, _client_id: object, **_: Any) -> dict[str, Any]:
        raise GatewayRefused(422, "client_id must be a string", ["model_required"])


def test_digits_are_sent_as_a_text_where_keys_are_texts() -> None:
    """The flaw's code decides, not its words."""
    assert _predict(Texts(), ["7"], model=None) == {"client_id": "7"}


def test_another_refusal_stays_what_it_is() -> None:
    """Whatever its words remind of."""
    with pytest.raises(GatewayRefused):
        _predict(Refusing(), ["7"], model=None)


def test_a_key_of_several_columns_shows_what_to_type() -> None:
    """With the values that were typed where they are as many; nothing is said of other refusals."""
    several = GatewayRefused(422, "client_id …", reasons={"key_columns": {"columns": ["pays", "no"]}})
    assert str(key_problem(several, ["FR", "3"])).endswith("predictq predict pays=FR no=3")
    assert str(key_problem(several, ["FR"])).endswith("predictq predict pays=… no=…")
    assert "pays=… no=…" in str(key_problem(several, ["3"]))
    one = GatewayRefused(422, "client_id …", reasons={"one_value": {"column": "no"}})
    assert "predictq predict 3; an option such as --wait takes no value" in str(key_problem(one, ["3", "true"]))
    assert key_problem(GatewayRefused(404, "there is no model churn"), ["3"]) is None


class OneText:
    """A gateway whose keys are one text each."""

    def __init__(self) -> None:
        self.asked: list[Any] = []

    def predict(self, client_id: Any, **_: Any) -> dict[str, Any]:
        self.asked.append(client_id)
        if isinstance(client_id, dict):
            raise GatewayRefused(422, "client_id …", reasons={"one_value": {"column": "sku"}})
        return {"client_id": client_id}


@pytest.mark.parametrize("key", ["sku=12", "Zm9vYg==", "a=", "=b", "a b=c"])
def test_a_text_may_have_an_equals_sign(key: str) -> None:
    """One argument is a column and its value where the key has columns, and else the key itself."""
    assert _predict(OneText(), [key], model=None) == {"client_id": key}


def test_several_arguments_for_a_key_of_one_column_stay_refused() -> None:
    """Which of them is the key cannot be told."""
    gateway = OneText()
    with pytest.raises(UsageProblem, match="the key is one value, not 2"):
        _predict(gateway, ["sku=12", "x=1"], model=None)
    assert len(gateway.asked) == 1


class Composite:
    """Takes a key whose column `code` is text and whose column `no` is a whole number."""

    def __init__(self) -> None:
        self.asked: list[Any] = []

    def predict(self, client_id: Any, **_: Any) -> dict[str, Any]:
        self.asked.append(dict(client_id))
        if not isinstance(client_id["code"], str):
            raise GatewayRefused(422, "client_id …", reasons={"not_text": {"column": "code"}})
        return {"client_id": client_id}


def test_a_composite_key_goes_with_the_types_that_its_columns_have() -> None:
    """So that the answer spells it as lists of results do."""
    gateway = Composite()
    answer = _predict(gateway, ["code=7", "no=3"], model=None, wait=True, key="once")
    assert answer == {"client_id": {"code": "7", "no": 3}}
    assert gateway.asked[0] == {"code": 7, "no": 3}


RAW = {"age": 41}


@pytest.mark.parametrize(
    ("values", "options", "expected"),
    [
        (RAW, {}, {"features": RAW}),
        ({"features": RAW}, {}, {"features": RAW}),
        (
            {"features": RAW, "model": "churn:2", "client_id": 7},
            {},
            {"features": RAW, "model": "churn:2", "client_id": 7},
        ),
        (
            {"features": RAW, "model": None, "client_id": None},
            {"model": "m", "client_id": "7"},
            {"features": RAW, "model": "m", "client_id": 7},
        ),
        (
            {"features": RAW, "model": "m", "client_id": "7"},
            {"model": "m", "client_id": "7"},
            {"features": RAW, "model": "m", "client_id": "7"},
        ),
        (RAW, {"client_id": "P-7"}, {"features": RAW, "client_id": "P-7"}),
        (RAW, {"client_id": {"a": "007", "b": "7"}}, {"features": RAW, "client_id": {"a": "007", "b": 7}}),
        (
            {"features": RAW, "client_id": {"a": "x", "b": 7}},
            {"client_id": {"a": "x", "b": "7"}},
            {"features": RAW, "client_id": {"a": "x", "b": 7}},
        ),
    ],
)
def test_the_body_of_a_call_is_sent_whole(
    values: dict[str, Any], options: dict[str, Any], expected: dict[str, Any]
) -> None:
    """Its model and its reference, too, beside what the options say."""
    assert raw_body(values, "--features f", **{"model": None, "client_id": None, **options}) == expected


def test_two_words_for_one_thing_are_refused() -> None:
    """Nothing is scored by another model than the one that either meant, and nothing of a body is dropped."""
    body = {"features": RAW, "model": "churn", "client_id": "P-7"}
    with pytest.raises(UsageProblem, match="for the model churn, and --model says risk"):
        raw_body(body, "--features f", model="risk", client_id=None)
    with pytest.raises(UsageProblem, match="--client-id says another"):
        raw_body(body, "--features f", model=None, client_id="P-8")
    with pytest.raises(UsageProblem, match="--client-id says another"):
        raw_body(body, "--features f", model=None, client_id={"a": "P-7"})
    with pytest.raises(FileRefused, match="no 'deadline'"):
        raw_body({**body, "deadline": "2h"}, "--features f", model=None, client_id=None)


class RawPairs:
    """Takes references of two texts."""

    def predict_raw(self, body: dict[str, Any], **_: Any) -> dict[str, Any]:
        if isinstance(body["client_id"]["b"], int):
            raise GatewayRefused(422, "…", ["invalid_client_id"], {"not_text": {"column": "b"}})
        return body


def test_each_part_of_a_typed_reference_is_of_its_column() -> None:
    """As the parts of a key of `predict` are."""
    body = {"features": RAW, "client_id": {"a": 1, "b": 7}}
    assert _predict_raw(RawPairs(), body, {"a": "1", "b": "7"}) == {"features": RAW, "client_id": {"a": 1, "b": "7"}}


class RawTexts:
    """Takes references that are texts."""

    def predict_raw(self, body: dict[str, Any], **_: Any) -> dict[str, Any]:
        if isinstance(body.get("client_id"), int):
            raise GatewayRefused(422, "…", ["invalid_client_id"])
        return body


def test_a_typed_reference_is_a_text_where_keys_are() -> None:
    """One in the file stays as it is there."""
    assert _predict_raw(RawTexts(), {"features": RAW, "client_id": 7}, "7") == {"features": RAW, "client_id": "7"}
    with pytest.raises(GatewayRefused):
        _predict_raw(RawTexts(), {"features": RAW, "client_id": 7}, None)


@pytest.mark.parametrize(
    ("parts", "composite", "key"),
    [
        (["7"], False, "7"),
        (["sku=12"], False, "sku=12"),
        (["region=A", "meter=1"], False, {"region": "A", "meter": "1"}),
        (["region=A", "meter=1"], True, {"region": "A", "meter": "1"}),
        (["note=a=b", "meter="], False, {"note": "a=b", "meter": ""}),
        (["region=A"], True, {"region": "A"}),
    ],
)
def test_a_key_of_several_columns_is_typed_alike_everywhere(parts: list[str], composite: bool, key: object) -> None:
    """What `predict` takes, `clients` and `holds` take: one value is a text, several are columns with theirs."""
    assert read_key(parts, composite=composite) == key


@pytest.mark.parametrize("parts", [["FR", "17"], ["country=FR", "17"], ["=FR", "no=17"], ["no=17", "no=18"], []])
def test_what_names_no_one_client_is_refused_without_the_key(parts: list[str]) -> None:
    """The words say how a key is typed."""
    with pytest.raises(UsageProblem, match="name one client") as refused:
        read_key(parts, composite=False)
    assert "17" not in str(refused.value)
