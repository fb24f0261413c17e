"""Erasures that cannot go on: they keep nobody else back, and whoever waits for one is told why."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest
from sqlalchemy import Engine, text

from shared.config import Settings
from shared.erasure.errors import ErasureInterrupted, ErasureLogUnwritable, ErasuresWait
from shared.erasure.kept_hashes import LOG_NAME
from shared.erasure.records import list_erasures
from shared.postgres.engine import transaction
from tests.integration.gateway.api_support import new_key, running_gateway
from tests.integration.stored.erasure_support import PERSON, add_page, ask, erasure, key_of, places
from tests.roles import as_upkeep
from tests.support import OWNER, ROOT, add_clients, add_model, wait_until
from worker.erasure.duties import ErasureDuty


@pytest.fixture(autouse=True)
def _page(engine: Engine) -> None:
    """The person and two others in one answered page."""
    add_model(engine)
    add_clients(engine, 1, first=PERSON)
    add_page(engine, key_of(engine).source.id or 0, "int8", [PERSON, 1, 2])


def test_one_that_cannot_go_on_keeps_nobody_back(engine: Engine, tmp_path: Path) -> None:
    """It is put aside for the round, says so while it waits, and ends once what stopped it is gone."""
    first, second = (ask(engine, key_of(engine, key)) for key in (PERSON, 1))
    with transaction(engine) as connection:
        never = f"ADD CONSTRAINT never CHECK (id <> '{first.id}' OR step <> 'pages') NOT VALID"
        connection.execute(text(f"ALTER TABLE predictq.erasures {never}"))
    duty, upkeep = ErasureDuty(tmp_path), as_upkeep(engine)
    with pytest.raises(ErasureInterrupted, match=str(first.id)):
        duty.run(upkeep)
    assert erasure(engine, second.id).status == "done"
    waiting = erasure(engine, first.id)
    assert waiting.status == "running"
    assert "was interrupted" in (waiting.error or "")
    third = ask(engine, key_of(engine, 2))  # the one that waits takes no turn before a new one
    with pytest.raises(ErasureInterrupted, match=str(first.id)):
        duty.run(upkeep)
    assert erasure(engine, third.id).status == "done"
    with transaction(engine) as connection:
        connection.execute(text("ALTER TABLE predictq.erasures DROP CONSTRAINT never"))
    assert duty.run(upkeep) == "1 erasures ended"
    assert (erasure(engine, first.id).status, erasure(engine, first.id).error) == ("done", None)


def test_a_log_that_cannot_be_written(engine: Engine, tmp_path: Path) -> None:
    """Nothing of anybody goes before it is known that her hash can be kept; the path and the setting are told."""
    folder = tmp_path / "kept"
    (folder / LOG_NAME).mkdir(parents=True)
    asked = [ask(engine, key_of(engine, key)) for key in (PERSON, 1)]
    duty, upkeep = ErasureDuty(folder), as_upkeep(engine)
    with pytest.raises(ErasuresWait, match=rf"^2 erasures wait\. The first: .*{folder / LOG_NAME} "):
        duty.run(upkeep)
    for record in (erasure(engine, each.id) for each in asked):
        assert record.status == "queued"
        assert "PREDICTQ_ERASURE_DIRECTORY" in (record.error or "")
    assert len(places(engine, key_of(engine))) == 1
    (folder / LOG_NAME).rmdir()
    assert duty.run(upkeep) == "2 erasures ended"
    assert [erasure(engine, each.id).error for each in asked] == [None, None]


def test_who_waits_at_the_command_is_told(engine: Engine, settings: Settings, tmp_path: Path) -> None:
    """`clients erase` and `erasures list` say why it does not end, without the person; then the command ends well."""
    (tmp_path / LOG_NAME).mkdir()
    duty, upkeep = ErasureDuty(tmp_path), as_upkeep(engine)
    with running_gateway(settings, new_key(engine, OWNER, is_admin=True)) as gateway:
        known = {
            **os.environ,
            "PREDICTQ_API_URL": str(gateway.base_url),
            "PREDICTQ_API_KEY": gateway.headers["Authorization"].removeprefix("Bearer "),
        }
        arguments = [sys.executable, "-m", "cli"]
        erase = [*arguments, "clients", "erase", str(PERSON), "--source", "clients", "--reason", "r"]
        told = tmp_path / "told"
        with told.open("wb") as output:
            command = subprocess.Popen(erase, cwd=ROOT, env=known, stdout=output, stderr=output)
        try:
            wait_until(lambda: bool(_all(engine)), what="the erasure")
            with pytest.raises(ErasureLogUnwritable):
                duty.run(upkeep)
            wait_until(lambda: str(tmp_path / LOG_NAME) in told.read_text().replace("\n", ""), what="the reason")
            listed = subprocess.run(
                [*arguments, "erasures", "list"], cwd=ROOT, env=known, capture_output=True, text=True, check=True
            )
            assert "PREDICTQ_ERASURE_DIRECTORY" in listed.stderr
            (tmp_path / LOG_NAME).rmdir()
            assert duty.run(upkeep) == "1 erasures ended"
            assert command.wait(30) == 0
        finally:
            command.kill()
            command.wait()
    assert "erased: 1 answer in 1 page" in told.read_text()
    assert str(PERSON) not in told.read_text() + listed.stderr


def _all(engine: Engine) -> list[object]:
    with transaction(engine) as connection:
        return list(list_erasures(connection))
