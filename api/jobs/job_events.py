"""Tells open streams how jobs change: one look at PostgreSQL for all streams, when a notice comes or a poll is due.

No stream has a thread, a connection or a query of its own. How a state looks on the wire is written once, however many
follow the job. The more streams the last look has woken, the longer is the rest before the next.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from time import monotonic
from uuid import UUID

from sqlalchemy import Connection

from api.access.caller import Caller
from api.access.caps import Cap
from api.http.root_path import set_root
from api.jobs.event_stream import BEAT_SECONDS, EventStream, Follower, JobState, Stream, job_state, still_counts
from api.server.background import Background
from api.server.database_threads import DatabaseThreads
from shared.errors import DatabaseUnavailable
from shared.jobs.followed import newest_bulk_jobs, recent_bulk_jobs
from shared.jobs.records import JobRecord, read_jobs
from shared.logging import get_logger
from shared.messaging.messages import Notice

log = get_logger(__name__)

_REST_SECONDS = 0.25  # between two looks
_WAKE_SECONDS = 0.001  # more of rest for each stream that the last look has woken
_AT_ONCE = 20  # streams woken in one go
_BREATH_SECONDS = 0.001  # after them: threads that read for other calls wait for the interpreter while a loop is busy
_FIRST_POLL, _LONGEST_POLL = 1.0, 5.0  # seconds until a job is read again of which no notice came
_TICK_SECONDS = 1.0  # between two looks for new jobs of owners, and for silence
_KEY_SECONDS = 3.0  # between two looks whether keys still count
_MOST = 256  # jobs per query
_RECENT_SECONDS = 60.0  # for which new jobs of an owner are looked for


@dataclass(eq=False, slots=True)
class _Followed:
    """A job that somebody follows."""

    owner: str
    batch_id: int | None = None
    state: JobState | None = None  # None: not read yet
    streams: set[Stream] = field(default_factory=set)
    poll: float = _FIRST_POLL
    ask_at: float = 0.0  # by time.monotonic()


class JobEvents(Background):
    """Who follows which jobs, and what they are told."""

    def __init__(self, threads: DatabaseThreads, cap: Cap, root_path: str) -> None:
        """`cap` counts what is open, `root_path` is what the links in a job's JSON begin with."""
        self._threads = threads
        self._cap = cap
        self._root_path = root_path
        self._streams: set[Stream] = set()
        self._followed: dict[UUID, _Followed] = {}
        self._by_batch: dict[int, set[UUID]] = {}  # single jobs, by the batch that notices name
        self._owners: dict[str, set[Stream]] = {}  # streams of all bulk jobs of an owner
        self._ended: dict[UUID, float] = {}  # jobs of owners whose end was told, and when
        self._wake = asyncio.Event()
        self._woken = 0
        self._tick_at = self._keys_at = 0.0
        self._keys: asyncio.Task[None] | None = None
        self._released = False

    @property
    def open(self) -> int:
        """Streams that are open."""
        return len(self._streams)

    def stream(
        self,
        jobs: Sequence[JobRecord],
        follower: Follower,
        *,
        all_of_owner: bool = False,
        ends_with: UUID | None = None,
        seen: int | None = None,
    ) -> EventStream:
        """The answer that tells of these jobs, first as they stand now.

        With `all_of_owner` it also tells of bulk jobs that the owner makes meanwhile. `ends_with` names the job whose
        end is the end of the stream, and `seen` the state of it that the caller has already. Sending it raises
        TooManyAtOnce where the caller has too many.
        """
        stream = Stream(follower, ends_with)
        if seen is not None and ends_with is not None:
            stream.numbers[ends_with] = seen
        return EventStream(stream, self._opened(stream, jobs, all_of_owner))

    async def present_jobs(self, caller: Caller) -> list[JobRecord]:
        """The bulk jobs that a stream of all of them begins with, oldest first. Raises DatabaseUnavailable."""

        def read(connection: Connection) -> list[JobRecord]:
            jobs = read_jobs(connection, newest_bulk_jobs(connection, caller.owner))
            seen = (job for job in jobs.values() if caller.may_use(job.model))
            return sorted(seen, key=lambda job: job.job_id)

        return await self._threads.read(read, owner=caller.owner)

    def notify(self, notice: Notice) -> None:
        """Look soon at what this notice is about, if anybody follows it."""
        if not self._streams:
            return
        for job_id in self._by_batch.get(notice.batch_id, ()) if notice.job_id is None else (notice.job_id,):
            if (followed := self._followed.get(job_id)) is not None:
                followed.ask_at = 0.0
                self._wake.set()

    def release(self) -> None:
        """End all streams, with what there is to say: the process is about to end."""
        self._released = True
        for stream in self._streams:
            stream.end()

    @contextlib.contextmanager
    def _opened(self, stream: Stream, jobs: Sequence[JobRecord], all_of_owner: bool) -> Iterator[None]:
        caller = stream.follower.caller
        with self._cap.place(caller):
            self._streams.add(stream)
            try:
                for job in jobs:
                    self._follow(job, stream)
                if all_of_owner:
                    self._owners.setdefault(caller.owner, set()).add(stream)
                if self._released:
                    stream.end()
                self._wake.set()
                yield
            finally:
                self._forget(stream)

    def _follow(self, job: JobRecord, stream: Stream) -> None:
        state = job_state(job)
        if state is None:
            stream.leave(job.job_id)
            return
        stream.tell(state)
        if job.status.is_terminal:
            return
        followed = self._followed.setdefault(job.job_id, _Followed(job.owner, job.batch_id))
        if followed.state is not None:
            stream.tell(followed.state)
        followed.streams.add(stream)
        followed.ask_at = 0.0  # it was read a while ago, when this stream did not listen yet
        if job.batch_id is not None:
            self._by_batch.setdefault(job.batch_id, set()).add(job.job_id)

    def _forget(self, stream: Stream) -> None:
        self._streams.discard(stream)
        for job_id in stream.numbers:
            if (followed := self._followed.get(job_id)) is not None:
                followed.streams.discard(stream)
                if not followed.streams:
                    self._drop(job_id, followed)
        owner = stream.follower.caller.owner
        others = self._owners.get(owner, set())
        others.discard(stream)
        if not others:
            self._owners.pop(owner, None)

    def _drop(self, job_id: UUID, followed: _Followed) -> None:
        self._followed.pop(job_id, None)
        if followed.batch_id is not None and (of_batch := self._by_batch.get(followed.batch_id)) is not None:
            of_batch.discard(job_id)
            if not of_batch:
                del self._by_batch[followed.batch_id]

    async def run(self) -> None:
        """Look and tell, for as long as there are streams."""
        set_root(self._root_path)
        while True:
            await self._rest()
            try:
                if self._tick_at <= monotonic():
                    self._tick_at = monotonic() + _TICK_SECONDS
                    await self._tick()
                await self._look()
            except DatabaseUnavailable:
                await asyncio.sleep(_TICK_SECONDS)  # the streams stay open, and are told when it is back

    async def _rest(self) -> None:
        await asyncio.sleep(_REST_SECONDS + self._woken * _WAKE_SECONDS)
        self._woken = 0
        seconds = max(0.0, self._tick_at - monotonic()) if self._streams else None
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(seconds):
                await self._wake.wait()
        self._wake.clear()

    async def _tick(self) -> None:
        now = monotonic()
        if self._keys_at <= now and (self._keys is None or self._keys.done()):
            self._keys_at = now + _KEY_SECONDS
            self._keys = asyncio.create_task(self._end_without_key())
        for stream in list(self._streams):
            if now - stream.told_at > BEAT_SECONDS:
                await self._count_woken()
                stream.wake()
        if self._owners:
            await self._find_new(list(self._owners))

    async def _find_new(self, owners: Sequence[str]) -> None:
        """Follow bulk jobs that their owners have made since."""
        now = monotonic()
        self._ended = {job: at for job, at in self._ended.items() if now - at < 2 * _RECENT_SECONDS}
        found = await self._threads.read(lambda connection: recent_bulk_jobs(connection, owners, _RECENT_SECONDS))
        for owner, job_id in found:
            if job_id not in self._ended:
                followed = self._followed.setdefault(job_id, _Followed(owner))
                for stream in self._owners.get(owner, set()) - followed.streams:
                    followed.streams.add(stream)
                    stream.numbers.setdefault(job_id, 0)

    async def _look(self) -> None:
        """Read the jobs that are due, and tell who follows them."""
        now = monotonic()
        due = [job_id for job_id, followed in self._followed.items() if followed.ask_at <= now]
        for start in range(0, len(due), _MOST):
            await self._look_at(due[start : start + _MOST])

    async def _look_at(self, job_ids: Sequence[UUID]) -> None:
        for job_id in job_ids:
            if (followed := self._followed.get(job_id)) is not None:
                followed.poll = min(_LONGEST_POLL, followed.poll * 1.5)
                followed.ask_at = monotonic() + followed.poll  # before the read: what is noticed meanwhile counts
        jobs = await self._read(job_ids)
        for job_id in job_ids:
            if (job := jobs.get(job_id)) is not None and (followed := self._followed.get(job_id)) is not None:
                await self._take(job, followed)

    async def _read(self, job_ids: Sequence[UUID]) -> dict[UUID, JobRecord]:
        """How these jobs stand. One that cannot be read is left, and takes the others from nobody."""
        try:
            return await self._threads.read(lambda connection: read_jobs(connection, job_ids))
        except DatabaseUnavailable:
            raise
        except Exception:
            if len(job_ids) > 1:
                return {key: job for job_id in job_ids for key, job in (await self._read([job_id])).items()}
            log.exception("job_not_told", job_id=str(job_ids[0]))
            self._leave(job_ids[0])
            return {}

    def _leave(self, job_id: UUID) -> None:
        """Tell no more of a job that cannot be told: the streams that end with it end now, the others go on."""
        self._ended[job_id] = monotonic()
        if (followed := self._followed.get(job_id)) is not None:
            for stream in followed.streams:
                stream.leave(job_id)
            self._drop(job_id, followed)

    async def _take(self, job: JobRecord, followed: _Followed) -> None:
        if followed.state is None or followed.state.number < job.change_number:
            followed.poll = _FIRST_POLL
            followed.state = job_state(job)
            if followed.state is None:
                self._leave(job.job_id)
                return
            for stream in list(followed.streams):
                if stream.follower.caller.may_use(job.model):
                    await self._count_woken()
                    stream.tell(followed.state)
        if job.status.is_terminal:
            self._ended[job.job_id] = monotonic()
            self._drop(job.job_id, followed)

    async def _count_woken(self) -> None:
        """Let those who were woken send, before many more are."""
        self._woken += 1
        if self._woken % _AT_ONCE == 0:
            await asyncio.sleep(_BREATH_SECONDS)

    async def _end_without_key(self) -> None:
        """End the streams whose key or session no longer counts; sessions with one key end each at its own time."""
        validities = {stream.follower.validity.came_with: stream.follower.validity for stream in self._streams}
        gone = {came_with for came_with, validity in validities.items() if not await still_counts(validity)}
        for stream in list(self._streams):
            if stream.follower.validity.came_with in gone:
                stream.end()
