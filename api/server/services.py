"""The gateway's collaborators: built once per process, when it starts, and closed in the reverse order."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterable, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass
from functools import partial

from starlette.requests import Request

from api.access.admission import Admission
from api.access.auth import Auth
from api.access.caps import Caps
from api.access.failed_keys import FailedKeys
from api.access.key_use import KeyUse
from api.access.known_sessions import KnownSessions
from api.access.oidc.code_flow import CodeFlow
from api.access.oidc.settings import oidc_settings
from api.access.oidc.token_threads import TokenThreads
from api.http.large_json import LargeJson
from api.intake.errands import Errands
from api.intake.group_spacing import GroupSpacing
from api.intake.job_ids import JobIds
from api.intake.model_directory import ModelDirectory
from api.intake.publisher import Publisher
from api.intake.single_jobs import LOOK_UP_LOCK_SECONDS, Intake
from api.intake.warm_up import WarmUps
from api.jobs.job_events import JobEvents
from api.jobs.notices import Notices
from api.jobs.statuses import Statuses
from api.jobs.summaries import Summaries
from api.jobs.waiting import Waiting
from api.server.background import Background
from api.server.database_clock import DatabaseClock
from api.server.database_threads import LOCK_SECONDS, DatabaseThreads
from api.server.memory import MemoryKeeper
from api.server.turns import Turns
from api.server.wire.connections import Connections
from api.watch.metrics import Metrics
from api.watch.outage_log import OutageLog
from api.watch.row_accounting import RowAccounting
from api.watch.stall_watch import StallWatch
from shared.batches.row_accounting import RowAccount
from shared.batches.sweep import Backlog
from shared.config import Settings
from shared.messaging.messages import Notice, make_redis, publish_work


@dataclass(frozen=True, slots=True)
class Services:
    """Everything that a route may need."""

    settings: Settings
    quick: DatabaseThreads  # look-ups that every call needs, statuses, and what watches
    lists: DatabaseThreads  # what grows with what a caller has: lists, pages of results, traces, cancels
    bulk: DatabaseThreads  # acceptance of bulk jobs
    downloads: DatabaseThreads  # long readings: downloads, exports, reports
    auth: Auth
    known_sessions: KnownSessions
    code_flow: CodeFlow | None  # where people sign in by an identity provider
    statuses: Statuses
    summaries: Summaries
    job_ids: JobIds
    intake: Intake
    waiting: Waiting
    job_events: JobEvents
    models: ModelDirectory
    errands: Errands
    warm_ups: WarmUps
    admission: Admission
    caps: Caps
    turns: Turns
    large_json: LargeJson
    publisher: Publisher
    notices: Notices
    metrics: Metrics
    outage_log: OutageLog
    stall_watch: StallWatch
    background: Mapping[str, Background]  # what runs beside the calls, by name

    def notify(self, notice: Notice) -> None:
        """Tell whoever waits for a job or follows it."""
        self.waiting.notify(notice)
        self.job_events.notify(notice)


@dataclass(frozen=True, slots=True)
class _State:
    """What the metrics read."""

    admission: Admission
    row_accounting: RowAccounting
    waiting: Waiting
    job_events: JobEvents
    publisher: Publisher
    notices: Notices
    stall_watch: StallWatch
    background: Mapping[str, Background]
    connections: Connections
    caps: Caps
    keys_that_failed: FailedKeys

    def failures(self) -> Mapping[str, int]:
        return {name: task.failures for name, task in self.background.items()}

    def stalled_seconds(self) -> float:
        return self.stall_watch.stalled_seconds

    def duties(self) -> Iterable[tuple[str, float, bool]]:
        since = self.stall_watch.age_seconds
        return [(one.name, one.age_seconds + since, one.is_ok and not one.is_late) for one in self.stall_watch.duties]

    def open_connections(self) -> int:
        return len(self.connections)

    def refusals(self) -> Mapping[str, int]:
        return self.connections.counts()

    def limit_refusals(self) -> Mapping[str, int]:
        return {**self.caps.refusals(), "failed_keys_per_minute": self.keys_that_failed.refused}

    def failed_keys(self) -> int:
        return self.keys_that_failed.failures

    def row_account(self) -> RowAccount | None:
        return self.row_accounting.row_account

    def backlog(self) -> list[Backlog]:
        return self.admission.backlog

    def open_waiters(self) -> int:
        return self.waiting.open

    def open_streams(self) -> int:
        return self.job_events.open

    def published(self) -> int:
        return self.publisher.published

    def publish_failures(self) -> int:
        return self.publisher.failures

    def is_subscribed(self) -> bool:
        return self.notices.is_subscribed


def services_of(request: Request) -> Services:
    """The services of the running app."""
    services: Services = request.scope["app"].state.services
    return services


def _single_sign_on(settings: Settings) -> tuple[TokenThreads | None, CodeFlow | None]:
    """Who checks the tokens of people, and how they sign in to the screens; None where that is not set."""
    oidc = oidc_settings(settings)
    if oidc is None:
        return None, None
    from api.access.oidc.people import People  # noqa: PLC0415 - cryptography takes its memory only where it is used

    people = People(oidc)
    return TokenThreads(people), CodeFlow(oidc, people.discovery, people) if oidc.client_id else None


@asynccontextmanager
async def running_services(settings: Settings, connections: Connections) -> AsyncIterator[Services]:
    """Build and start everything; neither PostgreSQL nor Redis needs to be there yet."""
    # One connection for the group commit; of the others each kind of work has its own, so that none can take all.
    size = (settings.api_pool_size - 1) // 4
    singles = DatabaseThreads(settings, "intake", 1, lock_seconds=LOOK_UP_LOCK_SECONDS)
    quick = DatabaseThreads(settings, "quick", size)
    lists = DatabaseThreads(settings, "lists", size)
    bulk = DatabaseThreads(settings, "bulk", size, statement_seconds=None, lock_seconds=LOCK_SECONDS)
    downloads_size = settings.api_pool_size - 1 - 3 * size
    downloads = DatabaseThreads(
        settings, "downloads", downloads_size, statement_seconds=None, lock_seconds=LOCK_SECONDS
    )
    redis = make_redis(settings, fails_at_once=True)
    publisher = Publisher(partial(publish_work, redis))
    statuses = Statuses(quick)
    waiting = Waiting(statuses)
    caps, turns = Caps.of(settings), Turns()
    job_events = JobEvents(quick, caps.streams, settings.root_path)
    group_spacing = GroupSpacing(settings.linger_ms / 1000)

    def batch_done(notice: Notice) -> None:
        group_spacing.answered(notice.batch_id)
        waiting.notify(notice)
        job_events.notify(notice)

    notices = Notices(settings.redis_url.get_secret_value(), batch_done)
    outage_log = OutageLog()
    clock = DatabaseClock()
    admission = Admission(settings, quick, clock, outage_log)
    failed_keys = FailedKeys(settings.failed_keys_per_minute)
    people, code_flow = _single_sign_on(settings)
    auth = Auth(quick, disabled=settings.auth_disabled, failed_keys=failed_keys, people=people)
    row_accounting = RowAccounting(downloads)
    stall_watch = StallWatch(quick, settings.stall_seconds)
    background: dict[str, Background] = {
        "notices": notices,
        "admission": admission,
        "row_accounting": row_accounting,
        "stall_watch": stall_watch,
        "job_events": job_events,
        "key_use": KeyUse(auth, quick),
        "memory": MemoryKeeper(),
    }
    state = _State(
        admission,
        row_accounting,
        waiting,
        job_events,
        publisher,
        notices,
        stall_watch,
        background,
        connections,
        caps,
        failed_keys,
    )
    metrics = Metrics(state)
    intake = Intake(
        settings,
        quick=quick,
        singles=singles,
        bulk=bulk,
        publisher=publisher,
        admission=admission,
        metrics=metrics,
        group_spacing=group_spacing,
    )
    models = ModelDirectory(quick)
    publisher.start()
    for threads in (singles, quick, lists, bulk, downloads):
        threads.open_first()
    for name, task in background.items():
        task.start(name)
    try:
        yield Services(
            settings,
            quick,
            lists,
            bulk,
            downloads,
            auth,
            KnownSessions(),
            code_flow,
            statuses,
            Summaries(),
            JobIds(clock, quick),
            intake,
            waiting,
            job_events,
            models,
            Errands(quick, lists, caps.errands),
            WarmUps(quick, caps.errands),
            admission,
            caps,
            turns,
            LargeJson(caps.uploads, turns, most_items=settings.max_json_ids),
            publisher,
            notices,
            metrics,
            outage_log,
            stall_watch,
            background,
        )
    finally:
        waiting.release()
        job_events.release()
        await intake.drain()
        for task in reversed(background.values()):
            await task.stop()
        publisher.stop()
        redis.close()
        for provider in (people, code_flow):
            if provider is not None:
                provider.close()
        for threads in (singles, quick, lists, bulk, downloads):
            threads.close()
