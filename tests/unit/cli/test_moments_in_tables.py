"""Moments in the tables of the command line: to the minute, with a blank, under a heading that says UTC."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Self

import pytest

from cli.commands.operating import audit, pauses
from cli.commands.stored import erasures, holds

AT = "2026-11-27T16:30:12.5Z"
PAUSE = {"queue": "bulk", "model": None, "reason": "month end", "actor": "olga", "created_at": AT}
ERASURE = {
    "id": "e", "kind": "person", "source": "s", "status": "done", "error": None, "pages": 1, "answers": 2,
    "created_at": AT, "compacted_at": None, "reason": "letter",
}  # fmt: skip
HOLD = {"id": 1, "model": "churn", "reason": "lawsuit", "actor": "olga", "created_at": AT}


class Gateway:
    """Gives one answer to whatever it is asked."""

    def __init__(self, answer: dict[str, Any]) -> None:
        self._answer = answer

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        """Nothing is open."""

    def call(self, *_: object) -> dict[str, Any]:
        return self._answer


@pytest.mark.parametrize(
    ("module", "command", "answer", "heading"),
    [
        (pauses, pauses.pauses, {"pauses": [PAUSE]}, "since (UTC)"),
        (erasures, lambda: erasures.list_(limit=1), {"erasures": [ERASURE]}, "asked (UTC)"),
        (holds, holds.list_, {"holds": [HOLD]}, "since (UTC)"),
    ],
)
def test_a_moment_in_a_table_is_as_in_all_others(
    module: Any,
    command: Callable[[], None],
    answer: dict[str, Any],
    heading: str,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    """2026-11-27 16:30."""
    monkeypatch.setattr(module, "api_client", lambda *_, **__: Gateway(answer))
    command()
    table = capsys.readouterr().out
    assert heading in table
    assert "2026-11-27 16:30" in table


def test_an_act_on_all_models_says_so(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    """A period of retention that names no model is that of all; another act without an object has none."""
    act = {"at": AT, "actor": "ann", "key": "pq_1", "address": None, "object": None, "reason": None}
    acts = [
        act | {"action": "retention.set"},
        act | {"action": "retention.set", "object": "churn"},
        act | {"action": "x"},
    ]
    monkeypatch.setattr(audit, "api_client", lambda *_, **__: Gateway({"acts": acts}))
    audit.list_(limit=3)
    _, of_all, of_one, of_none = capsys.readouterr().out.splitlines()
    assert of_all.rstrip().endswith("retention.set  all models")
    assert of_one.rstrip().endswith("retention.set  churn")
    assert of_none.rstrip().endswith("x")
