"""What the gateway knows of models is read every second: what many models share is read once."""

from __future__ import annotations

import asyncio
from types import SimpleNamespace
from typing import Any, cast

import pytest

from api.access.caller import Caller
from api.http.problems import Problem
from api.intake import model_directory
from shared.jobs.accepting.model_choice import ModelChoice
from shared.models.model_list import ModelInUse


def test_a_source_of_many_models_is_asked_about_once_at_each_refresh(monkeypatch: pytest.MonkeyPatch) -> None:
    """Ten models of two sources, at the first look and at the next, where the versions are known already."""
    asked: list[int] = []

    def get_source(_: Any, source_id: int) -> Any:
        asked.append(source_id)
        return SimpleNamespace(id=source_id, key_form=SimpleNamespace(storage="text"))

    models = [ModelInUse(f"m{number}", number == 0, number) for number in range(10)]
    monkeypatch.setattr(model_directory, "read_models_in_use", lambda _: models)
    monkeypatch.setattr(model_directory, "get_version", lambda _, one: SimpleNamespace(id=one, source_id=one % 2))
    monkeypatch.setattr(model_directory, "get_source", get_source)
    monkeypatch.setattr(model_directory, "lookup_of", lambda _: None)
    nothing = cast("Any", None)
    known = model_directory._read(nothing, model_directory._Known())
    assert sorted(asked) == [0, 1]
    again = model_directory._read(nothing, known)
    assert sorted(asked) == [0, 0, 1, 1]
    assert {name: served.source and served.source.id for name, served in again.served.items() if served} == {
        f"m{number}": number % 2 for number in range(10)
    }


def test_a_version_that_calls_name_is_read_anew_after_a_while(monkeypatch: pytest.MonkeyPatch) -> None:
    """Another gateway may have checked its source meanwhile, or retired it."""
    asked: list[int] = []

    class Threads:
        executor = None

        async def read(self, _: Any) -> Any:
            asked.append(1)
            return SimpleNamespace(version=SimpleNamespace(retired_at=None))

    directory = model_directory.ModelDirectory(cast("Any", Threads()))
    choice = ModelChoice.parse("churn:3")
    for seconds, times in ((0.0, 1), (3600.0, 2), (3600.0, 2)):
        monkeypatch.setattr(model_directory, "_REMEMBER_SECONDS", seconds)
        asyncio.run(directory._version(choice))
        assert len(asked) == times


def test_a_version_is_named_by_those_who_operate(monkeypatch: pytest.MonkeyPatch) -> None:
    """Others call a model by its name alone."""
    named: list[ModelChoice] = []

    async def version(_: Any, choice: ModelChoice) -> Any:
        named.append(choice)
        return SimpleNamespace()

    monkeypatch.setattr(model_directory.ModelDirectory, "_version", version)
    directory = model_directory.ModelDirectory(cast("Any", SimpleNamespace(executor=None)))
    with pytest.raises(Problem, match="takes a key with the role 'operate'"):
        asyncio.run(directory.find(Caller("o", ("predict",)), "churn:3"))
    asyncio.run(directory.find(Caller("o", ("operate",)), "churn:3"))
    assert named == [ModelChoice.parse("churn:3")]
