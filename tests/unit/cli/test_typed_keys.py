"""`predictq predict KEY`: what is typed is a number or a text, as the source has it."""

from __future__ import annotations

from typing import Any

import pytest

from cli.commands.submit import _predict, key_problem
from cli.errors import GatewayRefused


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
