"""The examinations of `predictq doctor`."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Sequence
from shlex import quote

from kombu.exceptions import KombuError
from redis.exceptions import RedisError
from sqlalchemy import Engine, text
from sqlalchemy.exc import SQLAlchemyError

from cli.connection.address import ApiAddress, fill_environment, known_gateway
from cli.connection.database import require_schema
from cli.doctor.finding import Finding
from cli.doctor.upkeep import examine_upkeep
from cli.errors import GatewayAway, GatewayRefused, NoStack
from cli.output.words import as_commands, database_advice
from shared.batches.row_accounting import STAYS, read_row_account
from shared.batches.stalls import read_stalls
from shared.config import Settings, load_settings
from shared.errors import NoLiveModel, PredictqError
from shared.messaging.celery_app import living_workers
from shared.messaging.messages import make_redis, server_version
from shared.messaging.redis_trouble import trouble_of
from shared.models.load_failures import why_not_loaded
from shared.models.registry import live_versions
from shared.pauses import list_pauses, resume_command
from shared.postgres.engine import make_engine, transaction
from shared.postgres.schema import SCHEMA_REVISION
from shared.sentences import count_of
from shared.settings.unknown import unknown_variables
from shared.sources.source import list_sources
from shared.watching.attention import Concern, away_sources, read_attention, refusing_sources
from shared.watching.attention_words import words_of
from sql.refusals import check_nothing_lacks

PING_SECONDS = 2.0
_SAID_BY_ATTENTION = (
    Concern.SILENT_WORKERS, Concern.UNLOADABLE, Concern.FAILING, Concern.ROWS_FAIL, Concern.LATE,
    Concern.SOURCE_CHANGED,
)  # fmt: skip
_SHOWN_SOURCES = 10


class LiveModelFails(PredictqError):
    """The live version cannot be loaded, or its work fails for another reason."""


def examine() -> list[Finding]:
    """All findings, in the order in which things depend on each other; what cannot be examined is left out."""
    try:
        fill_environment(redis=True)
    except NoStack as error:
        advice = None if error.says_start else "where none runs anywhere yet: predictq up"
        return [Finding("stack", ok=False, detail=str(error), advice=advice)]
    settings = load_settings()
    engine = make_engine(settings, application_name="predictq-doctor")
    try:
        database = list(_examine_database(engine, settings))
        return [*database, *_examine_variables(engine), *_examine_redis(settings), *_examine_gateway()]
    finally:
        engine.dispose()


def _examine_database(engine: Engine, settings: Settings) -> Iterator[Finding]:
    try:
        with transaction(engine) as connection:
            version = connection.execute(text("SHOW server_version")).scalar_one()
        yield Finding("database", ok=True, detail=f"PostgreSQL {version}")
    except PredictqError as error:
        yield Finding("database", ok=False, detail=str(error), advice=database_advice(str(error)))
        return
    schema = _judge("schema", "predictq migrate", lambda: _schema(engine))
    if schema.ok:
        schema = _judge("schema", None, lambda: _whole_schema(engine))
    yield schema
    if schema.ok:
        yield _judge("model", "predictq models register NAME FILE --source SOURCE --promote", lambda: _model(engine))
        yield _examine_sources(engine)
        yield _examine_rows(engine)
        yield _examine_work(engine, settings)
        yield from _examine_attention(engine, settings)
        yield from _examine_pauses(engine)
        yield from examine_upkeep(engine, settings.disk_bytes)


def _judge(name: str, advice: str | None, examination: Callable[[], str]) -> Finding:
    try:
        return Finding(name, ok=True, detail=examination())
    except PredictqError as error:
        return Finding(name, ok=False, detail=as_commands(str(error)), advice=advice)


def _schema(engine: Engine) -> str:
    require_schema(engine)
    return "up to date"


def _whole_schema(engine: Engine) -> str:
    with transaction(engine) as connection:
        check_nothing_lacks(connection, SCHEMA_REVISION)
    return "up to date"


def _model(engine: Engine) -> str:
    with transaction(engine) as connection:
        live = live_versions(connection)
        failures = {version.label: why_not_loaded(connection, version.id) for version in live}
    if not live:
        raise NoLiveModel
    for label, failure in failures.items():
        if failure is not None:
            raise LiveModelFails(f"the work of {label}, which is live, fails: {failure}")
    return ", ".join(version.label for version in live)


def _examine_sources(engine: Engine) -> Finding:
    """Which sources there are, and which of them do not answer or refuse to be read."""
    with transaction(engine) as connection:
        found = [source.name for source in list_sources(connection)]
        away = [need.about["source"] for need in away_sources(connection)]
        refusing = refusing_sources(connection)
    if away or refusing:
        gone = [need.about["source"] for need in refusing]
        fine = [name for name in found if name not in {*away, *gone}]
        parts = [
            f"{_some(away)} {'does' if len(away) == 1 else 'do'} not answer" if away else "",
            f"{_some(fine)} {'does' if len(fine) == 1 else 'do'}" if away and fine else "",
            f"{_some(gone)} cannot be read: a right, its table or a column is gone or has changed" if gone else "",
        ]
        detail = "; ".join(filter(None, parts))
        return Finding("sources", ok=False, detail=detail, advice=f"predictq sources check {quote((away + gone)[0])}")
    if found:
        return Finding("sources", ok=True, detail=_some(found))
    advice = "predictq sources add NAME --table SCHEMA.TABLE --key COLUMN"
    return Finding("sources", ok=True, detail="none: features come with each call", advice=advice)


def _some(names: Sequence[str]) -> str:
    return ", ".join(names[:_SHOWN_SOURCES]) + (" …" if len(names) > _SHOWN_SOURCES else "")


# Pages of requests against what was accepted, and pages of answers without a page of requests.
_STORED = text(f"""
SELECT (SELECT coalesce(sum(request_count), 0) FROM predictq.batch_requests WHERE {STAYS})
       - (SELECT coalesce(sum(cardinality(gone_rows)), 0) FROM predictq.batch_outputs WHERE {STAYS}) AS requests,
       (SELECT coalesce(sum(accepted), 0) FROM predictq.daily_counts) AS gone,
       (SELECT count(*) FROM predictq.batch_outputs o
        WHERE o.{STAYS} AND NOT EXISTS (SELECT FROM predictq.batch_requests r WHERE r.batch_id = o.batch_id)) AS strays
""")


def _examine_rows(engine: Engine) -> Finding:
    with transaction(engine) as connection:
        # One snapshot for all that is counted: work goes on meanwhile.
        connection.execute(text("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ"))
        account = read_row_account(connection)
        row = connection.execute(_STORED).one()
    detail = (
        f"{account.accepted:,} accepted = {account.succeeded:,} succeeded + {account.failed:,} failed "
        f"+ {account.cancelled:,} cancelled + {account.in_flight:,} in flight"
    )
    if not account.imbalance and row.requests + row.gone == account.accepted and not row.strays:
        return Finding("rows", ok=True, detail=detail)
    found = f"{count_of(row.requests, 'request')} stored, {count_of(row.strays, 'page')} of answers without requests"
    detail = f"{detail}; {found}: THIS DOES NOT ADD UP"
    return Finding("rows", ok=False, detail=detail, advice="keep the database as it is, and report this")


def _examine_work(engine: Engine, settings: Settings) -> Finding:
    with transaction(engine) as connection:
        stalls = read_stalls(connection, settings.stall_seconds)
    if not stalls:
        return Finding("work", ok=True, detail="nothing waits in vain")
    detail = "; ".join(stall.words for stall in stalls)
    return Finding("work", ok=False, detail=detail, advice="see below whether workers answer, and read their logs")


def _examine_pauses(engine: Engine) -> Iterator[Finding]:
    with transaction(engine) as connection:
        found = list_pauses(connection)
    for item in found:
        detail = f"{item.what} is paused since {item.created_at:%Y-%m-%d %H:%M} by {item.actor}: {item.reason}"
        yield Finding("pause", ok=True, detail=detail, advice=resume_command(item.queue, item.model))


def _examine_attention(engine: Engine, settings: Settings) -> Iterator[Finding]:
    """What needs a person and is not said by another finding."""
    with transaction(engine) as connection:
        needs = read_attention(connection, settings)
    for need in needs:
        if need.code in _SAID_BY_ATTENTION:
            detail, advice = words_of(need)
            # Nothing is broken where there is much to do, or where a caller's own rows may be wrong.
            is_ok = need.code in (Concern.LATE, Concern.ROWS_FAIL)
            yield Finding(need.code.value.replace("_", " "), ok=is_ok, detail=detail, advice=advice)


def _examine_variables(engine: Engine) -> Iterator[Finding]:
    """Misspelt settings in this command's environment."""
    try:
        with transaction(engine) as connection:
            of_sources = [source.url_variable for source in list_sources(connection) if source.url_variable]
    except (PredictqError, SQLAlchemyError):
        of_sources = []  # no database or no tables: said by other findings
    for words in unknown_variables(os.environ, of_sources=of_sources):
        yield Finding("setting", ok=False, detail=words, advice="correct it or take it away: docs/operations.md")


def _examine_redis(settings: Settings) -> Iterator[Finding]:
    try:
        with make_redis(settings) as redis:
            version = server_version(redis)
    except (RedisError, OSError) as error:
        yield Finding("redis", ok=False, detail=str(error), advice=trouble_of(error).words[1])
        return
    try:
        names = living_workers(settings, PING_SECONDS)
    except (RedisError, KombuError, OSError) as error:  # it answers, and takes no message
        said, advice = trouble_of(_of_redis(error)).words
        yield Finding("redis", ok=False, detail=f"{version}; {said}", advice=advice)
        return
    yield Finding("redis", ok=True, detail=version)
    if names:
        yield Finding("workers", ok=True, detail=", ".join(names))
    else:
        advice = "predictq worker --concurrency 2"
        yield Finding("workers", ok=False, detail="none answers: jobs are accepted and wait", advice=advice)


def _of_redis(error: BaseException) -> BaseException | None:
    """What Redis itself said, behind the errors of others that came of it."""
    found: BaseException | None = error
    while found is not None and not isinstance(found, RedisError):
        found = found.__cause__ or found.__context__
    return found


def _examine_gateway() -> Iterator[Finding]:
    address = known_gateway()
    if address is None:
        return  # none is known here; it may well run elsewhere
    yield _judge("gateway", "predictq up, or predictq api", lambda: _gateway(address))


def _gateway(address: ApiAddress) -> str:
    import httpx  # noqa: PLC0415

    from cli.connection.http import open_http  # noqa: PLC0415

    url = address.url
    try:
        with open_http(address, timeout=5) as http:
            answer = http.get("/health/ready")
    except httpx.TransportError as error:
        raise GatewayAway(url, error) from error
    if not answer.is_success:
        raise GatewayRefused(answer.status_code, answer.text[:200])
    return f"{url} is ready"
