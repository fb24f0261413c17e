"""The command line of erasure, with the upkeep process itself at work."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from sqlalchemy import Engine

from shared.config import Settings
from shared.erasure.kept_hashes import LOG_NAME
from shared.status import Queue
from tests.integration.gateway.api_support import new_key, running_gateway
from tests.integration.stored.erasure_support import PERSON, add_page, add_source, ask, erasure, everything, key_of
from tests.integration.worker.scoring_support import score
from tests.support import OWNER, ROOT, add_clients, add_model, environment, stop, submit_bulk, wait_until
from worker.scoring.scorer import Scorer


@pytest.fixture
def upkeep(settings: Settings, tmp_path: Path) -> Iterator[Path]:
    """The upkeep process; gives the file of its log."""
    log = tmp_path / "upkeep.log"
    own = settings.model_copy(update={"erasure_directory": tmp_path})
    with log.open("wb") as output:
        process = subprocess.Popen(
            [sys.executable, "-m", "worker.upkeep"], cwd=ROOT, env=environment(own), stdout=output, stderr=output
        )
    try:
        yield log
    finally:
        stop(process)


def test_a_person_goes_with_one_command(
    engine: Engine, settings: Settings, scorer: Scorer, upkeep: Path, tmp_path: Path
) -> None:
    """Export, erase with compaction, list, replay: each says what it did, and none of them names the person."""
    add_model(engine)
    add_clients(engine, 10)
    add_clients(engine, 1, first=PERSON)
    submit_bulk(engine, [1, PERSON, 2])
    score(scorer, Queue.BULK)
    add_page(engine, add_source(engine, "her view", "int8"), "int8", [PERSON])
    with running_gateway(settings, new_key(engine, OWNER, is_admin=True)) as gateway:
        known = {
            **os.environ,
            "PREDICTQ_API_URL": str(gateway.base_url),
            "PREDICTQ_API_KEY": gateway.headers["Authorization"].removeprefix("Bearer "),
            "DATABASE_URL": settings.database_url.get_secret_value(),
        }

        def run(*arguments: str, text: str | None = None, status: int = 0) -> subprocess.CompletedProcess[str]:
            command = [sys.executable, "-m", "cli", *arguments]
            done = subprocess.run(command, cwd=ROOT, env=known, input=text, capture_output=True, text=True, check=False)
            assert done.returncode == status, done.stderr
            return done

        file = tmp_path / "client.json"
        run("clients", "export", str(PERSON), "--output", str(file), "--source", "clients")
        assert len(json.loads(file.read_text())["predictions"]) == 1
        assert file.stat().st_mode & 0o777 == 0o600
        run(
            "clients", "export", str(PERSON), "--output", str(file), "--source", "clients", status=1
        )  # nothing is written over
        refused = run("clients", "erase", "5x", "--source", "clients", "--reason", "r", status=1)
        assert "5x" not in refused.stderr

        order = ("clients", "erase", "-", "--reason", "art. 17", "--compact", "--source")
        erased = run(*order, "clients", text=f"{PERSON}\n")
        assert "1 answer in 1 page" in erased.stdout
        assert "no byte of an erased client is left in the table files under source clients\n" in erased.stdout
        assert "source her view has 1 answer for the same key" in erased.stderr
        assert "predictq clients erase KEY --source 'her view' --reason" in erased.stderr
        assert str(PERSON) not in erased.stdout + erased.stderr
        again = run(*order, "her view", text=f"{PERSON}\n")
        assert "Not erased" not in again.stderr
        (_, listed) = json.loads(run("erasures", "list", "--json").stdout)
        assert listed["status"] == "done"
        assert listed["compacted_at"] is not None
        assert "nothing to compact" in run("compact").stdout

        submit_bulk(engine, [PERSON])
        replayed = run("erasures", "replay", str(tmp_path / LOG_NAME))
        assert re.search(r"^1 person found again, \d+ pages? gone through;", replayed.stdout)
        strange = tmp_path / "strange.log"  # as one is whose secret is not here
        strange.write_text(json.dumps({"source": "clients", "hash": "0" * 64}) + "\n")
        assert "nobody found again" in (nobody := run("erasures", "replay", str(strange)).stdout)
        assert "erasures.secret" in nobody
        (line, _) = [line for line in run("erasures", "list").stdout.splitlines() if " replay " in line]
        assert re.search(r" done +\d+ +\d{4}-", line)  # pages, and then the time: no person is shown as an answer
        nonsense = tmp_path / "nonsense.log"
        nonsense.write_text("x\n")
        assert "Line 1" in run("erasures", "replay", str(nonsense), status=1).stderr
        torn = tmp_path / "torn.log"  # as a full disk left it, and with a line of another secret
        other = {"source": "clients", "hash": "0" * 64, "secret": "0" * 16}
        torn.write_text(f"{json.dumps(other)}\nx\n{(tmp_path / LOG_NAME).read_text()}")
        torn_replay = run("erasures", "replay", str(torn), "--skip-bad-lines", status=3)
        assert "Line 2 left out" in torn_replay.stderr
        assert "hashed with another secret" in torn_replay.stdout
        assert re.search(r"found again, \d+ pages? gone through", torn_replay.stdout)
    log = upkeep.read_text()
    assert "erasures ended" in log
    assert str(PERSON) not in log
    assert str(PERSON) not in (tmp_path / LOG_NAME).read_text()


def test_a_waiting_person_is_erased_by_the_process(
    engine: Engine, settings: Settings, upkeep: Path, tmp_path: Path
) -> None:
    """What a replay has found is erased without anybody asking again."""
    add_model(engine)
    add_clients(engine, 1, first=PERSON)
    submit_bulk(engine, [PERSON])
    asked = ask(engine, key_of(engine))
    wait_until(lambda: erasure(engine, asked.id).status == "done", what="the erasure")
    assert str(PERSON) not in everything(engine)
