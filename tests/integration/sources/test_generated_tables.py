"""Any table, any estimator, any filter: each answer is the estimator's own, whichever way it came about.

Hypothesis draws the table and what is fitted on it. The table is real, in PostgreSQL; what each answer is held against
is the estimator, asked directly with a frame that is made here of PostgreSQL's text of the rows and of the signature's
dtypes. Each row is answered when the version is registered, in bulk by lists of keys and by filters, singly, and from
the bytes that were stored with an answer. `make fuzz` runs more of it.
"""

from __future__ import annotations

import json
import os
import threading
import warnings
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any
from uuid import UUID

import numpy as np
import pytest
from hypothesis import HealthCheck, Phase, given, note, reject, settings
from hypothesis import strategies as st
from psycopg2.extensions import connection as PsycopgConnection  # noqa: N812
from sqlalchemy import Engine, text
from threadpoolctl import threadpool_limits
from uuid_utils.compat import uuid7

from model.artefact import Artefact
from model.registration import new_version
from shared.database_role import DatabaseRole
from shared.jobs.accepting.bulk import BulkJob, accept_keys, accept_selection
from shared.jobs.accepting.key_pages import ListedKeys
from shared.jobs.accepting.model_choice import ModelChoice
from shared.jobs.accepting.singles import Accepted, SingleJob, Target, accept_singles
from shared.messaging.messages import make_redis
from shared.models.registry import promote_version, register_version
from shared.pages.read_row import read_row
from shared.postgres.engine import autocommit, make_engine, transaction
from shared.sources.description import source_from
from shared.sources.keys import ClientKey
from shared.sources.source import Source, add_source
from shared.status import Queue
from sql.roles import open_tables
from tests.integration.sources.generated_filters import make_filter
from tests.integration.sources.generated_models import (
    Recipe,
    dumped,
    fit,
    recipes,
    training_frame,
)
from tests.integration.sources.generated_oracle import (
    Case,
    ask_directly,
    assert_close,
    assert_own,
    assert_same_frame,
    finite_rows,
    own_answers,
    read_as_text,
)
from tests.integration.sources.generated_tables import (
    TYPES_OF_MINE,
    Table,
    drop,
    filters,
    make,
    quoted,
    spell,
    tables,
)
from tests.integration.sources.source_support import connect, run
from tests.integration.worker.scoring_support import results, score, trace_of
from tests.roles import as_worker, service_settings
from tests.support import OWNER
from worker.celery.pool_process import ProcessSlot
from worker.models.check import check_model
from worker.models.frame import to_frame
from worker.models.model_store import ModelStore
from worker.models.registration import Offer, prepare
from worker.pages.decode import decode_features
from worker.planning.doorbell import Doorbell
from worker.planning.key_reader import make_opener
from worker.planning.plan_run import Tools
from worker.planning.planner import Planner
from worker.scoring.feature_reader import Rows as ReadRows
from worker.scoring.prediction import predict_rows
from worker.scoring.scorer import Scorer
from worker.sources.describing.description import describe
from worker.sources.sampling import sample_rows

pytestmark = [pytest.mark.filterwarnings("ignore"), pytest.mark.timeout(0)]

EXAMPLES = int(os.environ.get("PREDICTQ_FUZZ_EXAMPLES", "100"))
IS_FUZZ = EXAMPLES > 100
FILTERS = 3  # of each table and estimator


@dataclass
class Service:
    """What scores, in this process; and the user's own connection."""

    engine: Engine
    driver: PsycopgConnection
    scorer: Scorer
    planner: Planner
    combinations: int = 0
    seen: Counter[str] = field(default_factory=Counter)


@pytest.fixture(scope="module")
def service(make_database: Callable[..., str], module_redis_url: str) -> Iterator[Service]:
    """A scorer and a planner on a database of their own."""
    url = make_database()
    chosen = service_settings(url, module_redis_url, lease_seconds=600, batch_timeout_seconds=600)
    engine = make_engine(chosen, application_name="test", pool_size=4)
    open_tables(engine)
    workers = chosen.as_role(DatabaseRole.WORKER)
    slot = ProcessSlot(workers, ModelStore(), node="test")
    slot.prepare()
    driver = connect(url, options="-c TimeZone=UTC -c DateStyle=ISO -c extra_float_digits=1")
    run(driver, TYPES_OF_MINE)
    stopped = threading.Event()
    doorbell = Doorbell(make_redis(workers), stopped)
    tools = Tools(as_worker(engine), make_opener(workers, "test"), doorbell, workers, stopped, "test")
    yield Service(engine, driver, slot.scorer, Planner(tools))
    driver.close()
    slot.scorer.engine.dispose()
    engine.dispose()


def test_every_answer_is_the_estimators_own(service: Service) -> None:
    """At least three combinations of table, estimator and filter for each example that Hypothesis draws."""

    @settings(
        max_examples=EXAMPLES,
        suppress_health_check=list(HealthCheck),
        # The same ones each time but in `make fuzz`, which has the time to look for the smallest that fails, too.
        derandomize=not IS_FUZZ,
        phases=(Phase.reuse, Phase.generate, Phase.shrink) if IS_FUZZ else (Phase.generate,),
        print_blob=True,
        report_multiple_bugs=False,
    )
    @given(tables(), recipes(), st.lists(filters(), min_size=FILTERS, max_size=FILTERS))
    def check(table: Table, recipe: Recipe, compared: list[Any]) -> None:
        # As in a worker, an estimator has one thread.
        with warnings.catch_warnings(action="ignore"), threadpool_limits(1):
            _check(service, table, recipe, compared)

    check()
    print(f"{service.combinations} combinations; {dict(service.seen)}")  # noqa: T201 - for whoever runs it with -s
    assert service.combinations >= min(300, EXAMPLES * FILTERS)


def _check(service: Service, table: Table, recipe: Recipe, compared: list[Any]) -> None:
    try:
        make(service.driver, table)
        case = _case(service, table, recipe)
        _at_registration(service, case)
        listed = _by_list(service, case)
        for comparisons in compared:
            _by_filter(service, case, comparisons)
            service.combinations += 1
        _singly(service, case)
        _from_stored_bytes(service, case, listed)
    finally:
        drop(service.driver, table)


def _case(service: Service, table: Table, recipe: Recipe) -> Case:
    found = describe(service.driver, table.relation, key=[name for name, _ in table.key])
    with transaction(service.engine) as connection:
        source = add_source(connection, source_from(f"things {uuid7()}", None, found))
    used = table.random.sample(table.columns, table.random.randint(1, len(table.columns)))
    keys, rows = read_as_text(service.driver, table)
    frame = training_frame(rows, used, recipe.gap)
    try:
        estimator, classes = fit(recipe, frame[finite_rows(frame)].reset_index(drop=True), used)
    except ValueError as error:  # a column without any value, and the like: nobody could train on it
        note(f"not fitted: {error}")
        service.seen["not fitted"] += 1
        reject()
    artefact = _registered(recipe, estimator, source)
    name = f"model {source.id}"
    with transaction(service.engine) as connection:
        version = register_version(connection, new_version(artefact, source_id=source.id, model=name))
        promote_version(connection, version.id)
    model = service.scorer.models.get(service.engine, version.id)
    note(f"{recipe} on {[(column.name, column.type.sql, column.is_required) for column in used]}")
    note(f"{model.signature}")
    service.seen[f"{recipe.task} {recipe.last}" + (" compiled" if model.linear else "")] += 1
    target = Target(ModelChoice(name), source.key_form.storage, None, source.id)
    case = Case(
        table, source, target, recipe, estimator, classes, model, keys, rows, frame, {}, {}, 1.0
    )  # fmt: skip
    ask_directly(case, used)
    return case


def _registered(recipe: Recipe, estimator: Any, source: Source) -> Artefact:
    content, unknown = dumped(estimator, recipe.form)
    is_named = recipe.task == "binary" and "a" in list(estimator.classes_)
    return prepare(
        Offer(
            content,
            "generated",
            columns=source.columns,
            source_id=source.id,
            positive="b" if is_named else None,
            threshold=recipe.threshold,
            allow=unknown,
        )
    )


def _at_registration(service: Service, case: Case) -> None:
    """The rows that registration and `models check` score are those of the table in key order."""
    features, refused = sample_rows(service.scorer.sources, case.source, case.model.signature, 1000)
    count = len(case.keys)
    report = check_model(case.model, features, refused)
    assert (report.rows, report.answered, report.differences) == (count, len(case.own), {})
    assert set(report.errors) <= {code for codes in case.errors.values() for code in codes}
    is_known = np.ones(count, dtype=np.bool_)
    is_known[list(refused)] = False
    rows = ReadRows(np.arange(count), is_known, features)
    answers = predict_rows(rows, case.model.signature, case.model.predict, task=case.model.task)
    for row in range(count):
        if row in case.own:
            assert row not in answers.errors, answers.errors[row]
            if case.recipe.task == "multiclass":
                assert answers.scores is not None
                assert_close(case, answers.scores[row], case.own[row])
            else:
                own = case.own[row] if not case.classes else case.own[row][1]
                assert_close(case, answers.values[row], own)


def _by_list(service: Service, case: Case) -> Accepted:
    """All keys in any order, some twice, in whatever spelling, and one of nobody."""
    r = case.table.random
    places = [*r.sample(range(len(case.keys)), len(case.keys)), *r.choices(range(len(case.keys)), k=5)]
    names = [name for name, _ in case.table.key]
    asked: list[Any] = []
    for place in places:
        parts = [spell(kind, part, r) for kind, part in zip(case.kinds, case.keys[place], strict=True)]
        asked.append(parts[0] if len(parts) == 1 else dict(r.sample(list(zip(names, parts, strict=True)), len(parts))))
    keys = [case.source.key_form.parse(key) for key in asked]
    accepted = _bulk(service, case, keys)
    answers = results(service.engine, accepted)
    assert len(answers) == len(asked)
    for place, key, answer in zip(places, asked, answers, strict=True):
        assert _typed(_plain(answer.client_id)) == _typed(key)
        is_natural = _typed(key) == _typed(case.natural(place))
        assert answer.key == (None if is_natural else case.canonical(place))
        assert_own(case, place, answer)
    nobody = [{"smallint": 31_000, "integer": 31_000, "bigint": 1, "numeric": "0.3", "uuid": "0" * 32,
               "date": "1700-01-01"}.get(kind, "nobody") for kind in case.kinds]  # fmt: skip
    stranger = nobody[0] if len(nobody) == 1 else dict(zip(names, nobody, strict=True))
    parsed = case.source.key_form.parse(stranger)
    if parsed.canonical not in map(case.canonical, range(len(case.keys))):
        answers = results(service.engine, _bulk(service, case, [parsed, keys[0]]))
        assert [answers[0].error_code, answers[0].client_id] == ["unknown_client", stranger]
        assert_own(case, places[0], answers[1])
    return accepted


def _typed(key: Any) -> Any:
    """A key with the types of its parts, which tell 5 from "5"."""
    return {name: (type(part), part) for name, part in key.items()} if isinstance(key, dict) else (type(key), key)


def _bulk(service: Service, case: Case, keys: list[ClientKey]) -> Accepted:
    job = BulkJob(uuid7(), OWNER, 10_000, case.target)
    accepted = accept_keys(service.engine, job, ListedKeys(keys, case.source.key_form.storage), len(keys))
    assert set(score(service.scorer, Queue.BULK)) == {"finished"}
    return accepted


def _by_filter(service: Service, case: Case, comparisons: list[tuple[float, str, int]]) -> None:
    """The clients that a filter selects are those that PostgreSQL finds by a condition written by hand."""
    where, conditions, given_values = make_filter(case, comparisons)
    note(f"{where}")
    accepted = accept_selection(service.engine, BulkJob(uuid7(), OWNER, 25, case.target), where)
    while service.planner.plan_next():
        pass
    assert set(score(service.scorer, Queue.BULK)) <= {"finished"}
    key = [{"numeric": "trim_scale({})::text", "citext": "lower({}::text)"}.get(kind, "{}::text").format(quoted(name))
           for name, kind in case.table.key]  # fmt: skip
    columns = ", ".join(key).replace("%", "%%")
    relation = case.table.relation.replace("%", "%%")
    with service.driver.cursor() as cursor:
        cursor.execute(f"SELECT {columns} FROM {relation} WHERE {' AND '.join(conditions)}", given_values)
        expected = {case.keys.index(list(row)) for row in cursor.fetchall()}
    naturals = {json.dumps(_listed(case.natural(row))): row for row in range(len(case.keys))}
    answers = results(service.engine, accepted)
    found = [naturals[json.dumps(_listed(_plain(answer.client_id)))] for answer in answers]
    assert found == sorted(expected)  # in key order, each once
    service.seen["rows by filter"] += len(found)
    for row, answer in zip(found, answers, strict=True):
        assert answer.key is None
        assert_own(case, row, answer)


def _plain(key: Any) -> Any:
    """A key as it goes into JSON, where the driver has an object of its own."""
    return str(key) if isinstance(key, UUID) else key


def _listed(key: Any) -> Any:
    return sorted(key.items()) if isinstance(key, dict) else key


def _singly(service: Service, case: Case) -> None:
    """One call for one client: a batch of one, and of three together."""
    r = case.table.random
    for places in ([r.randrange(len(case.keys))], r.sample(range(len(case.keys)), 3)):
        jobs = [
            SingleJob(uuid7(), OWNER, case.target, case.source.key_form.parse(case.natural(place))) for place in places
        ]
        for place, accepted in zip(places, _accept(service, jobs), strict=True):
            answer = results(service.engine, accepted)[0]
            assert _plain(answer.client_id) == case.natural(place)
            assert_own(case, place, answer)


def _accept(service: Service, jobs: list[SingleJob]) -> list[Accepted]:
    with autocommit(service.engine) as connection:
        answers = accept_singles(connection, jobs)
    assert set(score(service.scorer)) == {"finished"}
    assert all(isinstance(answer, Accepted) for answer in answers), answers
    return answers  # type: ignore[return-value]


def _from_stored_bytes(service: Service, case: Case, listed: Accepted) -> None:
    """What was stored with the answers is what the estimator was given, and gives the same answers again."""
    with autocommit(service.engine) as connection:
        query = text("SELECT features FROM predictq.batch_outputs WHERE batch_id = :id")
        stored = bytes(connection.execute(query, {"id": listed.batch_ids[0]}).scalar_one())
    answers = results(service.engine, listed)
    naturals = {json.dumps(_listed(case.natural(row))): row for row in range(len(case.keys))}
    form = case.source.key_form
    places = [
        naturals[json.dumps(_listed(form.natural(form.parse(_plain(answer.client_id)).canonical)))]
        for answer in answers
    ]
    good = [number for number, place in enumerate(places) if place in case.own]
    if not good:
        return
    columns = decode_features(stored)
    given_frame = to_frame(columns, case.model.signature).iloc[good].reset_index(drop=True)
    order = list(case.own)
    expected = case.frame.iloc[[order.index(places[number]) for number in good]].reset_index(drop=True)
    assert_same_frame(given_frame, expected)
    own = own_answers(case, given_frame)
    for number, again in zip(good, own, strict=True):
        assert_close(case, again, case.own[places[number]])
    for number in case.table.random.sample(good, min(2, len(good))):
        trace = trace_of(service.engine, answers[number].request_id)
        cells = read_row(stored, number)
        assert trace.features is not None
        assert len(cells) == len(trace.features)
        features = {
            name: cell.isoformat() if isinstance(cell, datetime) else cell for name, cell in trace.features.items()
        }
        job = SingleJob(uuid7(), OWNER, case.target, None, features=json.dumps(features))
        assert_own(case, places[number], results(service.engine, _accept(service, [job])[0])[0])


def _in_json(cell: Any) -> Any:
    return cell.isoformat() if isinstance(cell, datetime) else cell
