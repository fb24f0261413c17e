"""A file is registered by a worker that has the libraries which it names, where one lives."""

from __future__ import annotations

import threading
from uuid import UUID

import pytest
from sqlalchemy import Engine, text

from shared.errands import Errand, read, submit
from shared.postgres.engine import autocommit
from shared.watching.workers import Worker, beat
from tests.integration.worker.test_models import open_here, send
from tests.roles import as_worker
from tests.support import OWNER
from worker.errands.models import ModelErrands
from worker.errands.runner import ErrandRunner

# A pickle of a class in a library that nobody has.
_FILE = b"\x80\x02cno_such_library.models\nForest\n)\x81."


def runner(engine: Engine, node: str) -> ErrandRunner:
    """What does errands in the worker of that name."""
    own = as_worker(engine)
    handlers = {"register_model": ModelErrands(own, open_here).register}
    return ErrandRunner(own, handlers, worker=f"{node}/errands/1", stopped=threading.Event())


def ask(engine: Engine) -> UUID:
    with autocommit(engine) as connection:
        asked = {"model": "forest", "upload_id": send(engine, _FILE), "owner": OWNER}
        return submit(connection, "register_model", OWNER, asked)


def say(engine: Engine, name: str, **libraries: str) -> None:
    named = {name.replace("_", "-"): version for name, version in libraries.items()}
    with autocommit(engine) as connection:
        beat(connection, Worker(name, 1, ["bulk"], None, [""], named))


def seen(engine: Engine, errand_id: UUID) -> Errand:
    with autocommit(engine) as connection:
        found = read(connection, errand_id)
    assert found is not None
    return found


def assert_refused_by_name(engine: Engine, errand_id: UUID) -> None:
    found = seen(engine, errand_id)
    assert (found.status, found.result and found.result["code"]) == ("failed", "model_refused")
    assert "needs the Python module 'no_such_library'" in str(found.result)
    assert "install 'no_such_library' for the workers" in str(found.result)


def test_a_file_goes_to_a_worker_that_has_its_library(engine: Engine) -> None:
    """One without it leaves it alone from then on; whoever has it opens it, once and for all."""
    say(engine, "plain@host")
    say(engine, "able@host", no_such_library="2.1")
    errand_id = ask(engine)
    plain, able = runner(engine, "plain@host"), runner(engine, "able@host")
    assert [plain.do_next(), plain.do_next()] == [True, False]
    assert seen(engine, errand_id).status == "queued"
    assert able.do_next()
    assert_refused_by_name(engine, errand_id)  # it said that it has it, and has not


@pytest.mark.parametrize("was_there", [False, True])
def test_without_such_a_worker_the_library_is_named(engine: Engine, *, was_there: bool) -> None:
    """Where none lives, or none does any more, whoever asks first says what lacks."""
    if was_there:
        say(engine, "able@host", no_such_library="2.1")
    errand_id = ask(engine)
    plain = runner(engine, "plain@host")
    assert plain.do_next()
    if was_there:
        with engine.begin() as connection:
            connection.execute(text("UPDATE predictq.workers SET heartbeat_at = now() - interval '1 hour'"))
        assert plain.do_next()
    assert_refused_by_name(engine, errand_id)
