"""The oracle: a service that reads what is gone, shows what was not scored, or miscalculates is found out.

A scorer works on a real PostgreSQL in this process, once as it is and once with each of its mistakes. Clients change
before and after it reads them.
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from uuid import UUID

import joblib
import psycopg2
import pytest
from sqlalchemy import Engine, make_url, text
from uuid_utils.compat import uuid7

from shared.config import Settings
from shared.database_role import DatabaseRole
from shared.models.registry import promote_version
from shared.postgres.engine import transaction
from shared.status import Queue
from tests.models import SIGNATURE, right_answer
from tests.support import OWNER, add_model, submit_bulk
from tests.torture import population
from tests.torture.checking.checker import check
from tests.torture.checking.histories import Histories
from tests.torture.checking.judge import judge
from tests.torture.checking.ledger import Ledger, read
from tests.torture.checking.planted_logs import PROMISE, search_logs
from tests.torture.checking.row_checks import RIGHT, TRACE
from tests.torture.checking.violation import Violation
from tests.torture.models import TortureModel, linear_model
from tests.torture.population import Features, Hand, initial
from tests.torture.sabotage.protections import SWITCHES
from tests.torture.sabotage.replacing import put_back
from worker.celery.pool_process import ProcessSlot
from worker.models.linear.compile import compile_linear
from worker.models.model_store import ModelStore
from worker.scoring.scorer import Scorer

# One of them has an answer of exactly 0.0, which is an answer, too.
_ZERO = next(n for n in population.ORDINARY[30:] if (state := initial(n)) is not None and right_answer(*state) == 0.0)
_CLIENTS = [*population.ORDINARY[:30], *population.FLEETING[:5], population.UNKNOWN, _ZERO]


@dataclass
class Stage:
    """A database with clients and two models, a scorer, and the ledger of what is done to them."""

    engine: Engine
    dsn: str
    scorer: Scorer
    ledger: Ledger
    hand: Hand
    files: dict[int, Path]

    def ask(self, version: int, clients: list[int]) -> UUID:
        """A bulk job for this version of the model."""
        key = uuid7().hex
        with transaction(self.engine) as connection:
            promote_version(connection, version)
        self.ledger.write("ask", key=key, kind="bulk", clients=clients, features=None, where=None)
        job_id = submit_bulk(self.engine, clients).job_id
        with transaction(self.engine) as connection:
            connection.execute(
                text("INSERT INTO predictq.idempotency_keys (owner, key, job_id) VALUES (:owner, :key, :job)"),
                {"owner": OWNER, "key": key, "job": job_id},
            )
        self.ledger.write("answer", key=key, job=str(job_id), status=202, path="/v1/jobs")
        return job_id

    def score(self) -> None:
        """All that waits."""
        while self.scorer.work(Queue.BULK) != ["not_needed"]:
            pass

    def play(self) -> None:
        """Both models answer for clients that change, go and come back before and after they are read."""
        for turn, version in enumerate((*self.files, *self.files)):
            self.ask(version, _CLIENTS)
            self.hand.change(_CLIENTS[:20], population.income(2000 + 7 * turn), over_time=turn % 2 == 0)
            if turn % 2 == 0:
                self.hand.remove(_CLIENTS[31])
            else:
                self.hand.insert(_CLIENTS[31], None)
            self.score()
            self.hand.change(_CLIENTS[10:30], population.income(5000 + 7 * turn), over_time=turn % 2 == 1)

    def found(self) -> list[Violation]:
        """What the checker finds broken."""
        return check(list(read(self.ledger.path)), self.dsn, self.files)


@pytest.fixture
def stage(engine: Engine, settings: Settings, tmp_path: Path) -> Iterator[Stage]:
    """Set it up; whatever was sabotaged is put back afterwards."""
    url = make_url(settings.database_url.get_secret_value())
    dsn = f"host={url.host} port={url.port} user={url.username} password={url.password} dbname={url.database}"
    population.fill(dsn)
    files = {}
    for estimator in (linear_model(), TortureModel()):
        version = add_model(engine, estimator)
        files[version] = tmp_path / f"estimator-{version}.joblib"
        joblib.dump(estimator, files[version])
    patient = settings.model_copy(update={"lease_seconds": 60, "batch_timeout_seconds": 60})
    ledger = Ledger(tmp_path / "ledger.jsonl")
    with contextlib.closing(ledger):
        slot = ProcessSlot(patient.as_role(DatabaseRole.WORKER), ModelStore(), node="test")
        slot.prepare()
        yield Stage(engine, dsn, slot.scorer, ledger, Hand(dsn, ledger), files)
        slot.scorer.engine.dispose()
        put_back()


def test_right_answers_about_clients_that_change_are_right(stage: Stage) -> None:
    """Whatever changes around it, a service that reads, scores and stores what there is breaks no promise."""
    stage.play()
    assert stage.found() == []


@pytest.mark.parametrize(
    ("protection", "promise"),
    [("features-read-anew", RIGHT), ("trace-of-what-was-scored", TRACE), ("compiled-form-checked", RIGHT)],
)
def test_a_wrong_service_is_found_out(protection: str, promise: str, stage: Stage) -> None:
    """Stale features, a trace of another state, and a compiled form off by 0.5 in the logit are named."""
    SWITCHES[protection].apply()
    stage.play()
    assert promise in {violation.promise for violation in stage.found()}


def test_the_linear_model_is_one_that_workers_compile() -> None:
    """Otherwise no run would say anything of the compiled form; it answers over the whole range."""
    model = linear_model()
    compile_linear(model, SIGNATURE, 1)
    answers = judge(model, [state for client in _CLIENTS[:30] if (state := initial(client)) is not None])
    assert len(set(answers)) == 30
    poor, rich = (Features(40, income, "Sales", False) for income in (10_000_000, 90_000_000))
    assert abs(float(judge(model, [poor])[0]) - float(judge(model, [rich])[0])) > 0.2


def _confirmed(stage: Stage) -> list[str]:
    return [event["what"] for event in read(stage.ledger.path) if event["what"] in ("changed", "undone")]


@pytest.mark.parametrize("commits", [True, False])
def test_a_change_whose_commit_was_not_confirmed_is_looked_up(
    commits: bool, stage: Stage, monkeypatch: pytest.MonkeyPatch
) -> None:
    """No entry in the log of the source stays in doubt: before the next change the hand looks what became of it."""
    client = population.ORDINARY[0]
    change = stage.hand.change
    with monkeypatch.context() as patched:
        patched.setattr(Hand, "_session", _breaking_off(commits=commits))
        with pytest.raises(psycopg2.OperationalError):
            change([client], population.income(77), over_time=True)
    assert _confirmed(stage) == []
    stage.hand.settle()
    assert _confirmed(stage) == ["changed" if commits else "undone"]
    before = initial(client)
    assert before is not None
    now = before._replace(monthly_income=population.income(77), over_time=True) if commits else before
    assert Histories(read(stage.ledger.path)).newest(client) == [now]


def _breaking_off(*, commits: bool) -> Callable[[Hand], contextlib.AbstractContextManager[object]]:
    """A session that breaks before its commit, or between that and its confirmation."""

    @contextlib.contextmanager
    def session(hand: Hand) -> Iterator[object]:
        connection = psycopg2.connect(hand._dsn)
        with contextlib.closing(connection), connection.cursor() as cursor:
            yield cursor
            if commits:
                connection.commit()
        raise psycopg2.OperationalError("gone")

    return session


def test_what_was_planted_is_found_in_a_log(tmp_path: Path) -> None:
    """Incomes, keys of clients and passwords are named with file and line; numbers that only look alike are not."""
    harmless = tmp_path / "harmless.log"
    harmless.write_text("pid 73001, 0.17301234 s, 173001234, 17301234567, 2026-11-26, 10000000000000000\n")
    assert list(search_logs([harmless], {"a password": "pass-word"})) == []
    guilty = tmp_path / "guilty.log"
    guilty.write_text(f"all is well\nkey {population.ORDINARY[7]} at {population.WIDE[5]}\nredis://:pass-word@there\n"
                      f"[parameters: ({population.income(1234)},)]\n"
                      f"Key (owner, key)=(o, {population.new_key()}) already exists.\n")  # fmt: skip
    found = list(search_logs([harmless, guilty], {"a password": "pass-word", "nothing": ""}))
    assert {violation.promise for violation in found} == {PROMISE}
    assert sorted(violation.detail.partition(",")[0] for violation in found) == [
        "guilty.log has a client's key 2 times",
        "guilty.log has a password 1 times",
        "guilty.log has an Idempotency-Key 1 times",
        "guilty.log has an income 1 times",
    ]
    assert any("line 4: [parameters: (27301234,)]" in violation.detail for violation in found)
