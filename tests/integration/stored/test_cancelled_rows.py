"""A row that was cancelled while a worker had it: nothing of its answer is stored."""

from __future__ import annotations

from types import SimpleNamespace

from sqlalchemy import Engine, text

from shared.batches.claims import Answers, claim, finish
from shared.jobs.records import cancel_job
from shared.postgres.engine import transaction
from shared.status import Queue
from tests.roles import as_worker
from tests.support import OWNER, add_clients, add_model, submit_singles
from worker.upkeep.export_rows import _label


def test_nothing_of_the_answer_of_a_cancelled_row_is_stored(engine: Engine) -> None:
    """Neither its value nor its class nor a probability of any class; the other rows keep theirs."""
    add_model(engine)
    add_clients(engine, 3)
    jobs = submit_singles(engine, [1, 2, 3])
    (held,) = claim(as_worker(engine), Queue.INTERACTIVE, worker="w", lease_seconds=60)
    with transaction(engine) as connection:
        cancel_job(connection, jobs[1].job_id, OWNER)
    page = Answers(
        values="{0.7,0.8,0.9}",
        threshold=None,
        labels="{0,1,2}",
        scores="{0.7,0.2,0.1,0.1,0.8,0.1,0.05,0.05,0.9}",
        features=b"",
        key_filter=None,
        key_hashes=[1, 2, 3],
    )
    assert finish(as_worker(engine), [(held, page)])
    with transaction(engine) as connection:
        stored = connection.execute(text('SELECT "values", labels, scores FROM predictq.batch_outputs')).one()
    assert list(stored) == [[0.7, None, 0.9], [0, None, 2], [0.7, 0.2, 0.1, None, None, None, 0.05, 0.05, 0.9]]


def test_an_export_writes_classes_as_results_do() -> None:
    """A class that is a flag is `true` or `false`."""
    page = SimpleNamespace(labels=None, threshold=0.5, classes=[False, True])
    assert [_label(page, 0, value) for value in (0.2, 0.7)] == ["false", "true"]
