"""What was found and measured is told before a promotion that may be refused."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any, Self

import pytest

from cli import model_files
from cli.commands.models import registry, train
from cli.errors import GatewayRefused

VERSION = {
    "model": "churn", "version": 3, "task": "binary", "classes": ["No", "Yes"], "threshold": 0.5, "source": "people",
    "is_live": False, "signature": {"features": []},
}  # fmt: skip
WORDS = "people lacks the column age"


class Gateway:
    """Registers what it is given, and makes nothing live."""

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        """Nothing is open."""

    def call(self, _: str, path: str, *__: object) -> dict[str, Any]:
        if path.endswith("/promote"):
            raise GatewayRefused(409, WORDS)
        return {}


def _register(file: Path) -> None:
    registry.register("churn", file, promote=True)


def _train(file: Path) -> None:
    train.train("left", file, model="churn", splits=2, promote=True)


@pytest.mark.parametrize(("command", "told"), [(_register, "age is missing"), (_train, "mean of 2 splits")])
def test_a_refused_promotion_takes_no_findings_along(
    command: Callable[[Path], None],
    told: str,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    tmp_path: Path,
) -> None:
    """The version is there: whoever trained it for an hour has its figures, and knows what to promote."""
    answer = {"version": VERSION, "findings": ["age is missing"]}
    for module in (registry, train):
        monkeypatch.setattr(module, "api_client", lambda *_, **__: Gateway())
    monkeypatch.setattr(model_files, "register", lambda *_, **__: answer)
    file = tmp_path / "people.csv"
    file.write_text("age,left\n" + "".join(f"{20 + row % 40},{'Yes' if row % 3 else 'No'}\n" for row in range(120)))
    with pytest.raises(GatewayRefused, match=WORDS):
        command(file)
    said = capsys.readouterr()
    assert told in said.out + said.err
    assert said.err.strip().endswith("churn:3 is registered, and is not live:")
