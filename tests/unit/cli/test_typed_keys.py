"""`predictq predict KEY`: what is typed is a number or a text, as the source has it."""

from __future__ import annotations

from typing import Any

import pytest

from cli.commands.submit import _predict
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
