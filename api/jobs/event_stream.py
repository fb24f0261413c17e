"""One open stream of server-sent events: what it still has to say, and the answer that says it.

A stream is a task that sleeps, and a few kilobytes. It keeps at most one event per job, the newest: an event is a
state, so a caller who reads slowly misses nothing by missing one.
"""

from __future__ import annotations

import asyncio
import contextlib
from dataclasses import dataclass, field
from time import monotonic
from uuid import UUID

from starlette.requests import ClientDisconnect
from starlette.responses import Response
from starlette.types import Receive, Scope, Send

from api.access.auth import Validity
from api.access.caller import Caller
from api.jobs.job_json import job_bytes
from shared.errors import DatabaseUnavailable
from shared.jobs.records import JobRecord
from shared.logging import get_logger
from shared.told_errors import words_of

log = get_logger(__name__)

BEAT_SECONDS = 15.0  # of silence, after which a comment shows both sides that the other is there
_STALL_SECONDS = 60.0  # after which a caller that takes nothing is given up
_BEGINNING = b"retry: 2000\n\n"  # milliseconds after which a browser calls again
_BEAT = b": still here\n\n"


@dataclass(frozen=True, slots=True)
class Follower:
    """Who listens, for as long as the key or the session counts by which the stream was opened."""

    caller: Caller
    validity: Validity


@dataclass(frozen=True, slots=True)
class JobState:
    """A job as it stood at one of its changes, ready for the wire."""

    job_id: UUID
    number: int
    event: bytes
    is_last: bool


def job_state(job: JobRecord) -> JobState | None:
    """How a job stands, as an event whose id is its change number; None where that cannot be written.

    What one owner has asked for must not end what tells everybody.
    """
    try:
        content = job_bytes(job)
    except Exception:
        log.exception("job_not_told", job_id=str(job.job_id))
        return None
    event = b"id: %d\nevent: job\ndata: %s\n\n" % (job.change_number, content)
    return JobState(job.job_id, job.change_number, event, job.status.is_terminal)


@dataclass(eq=False, slots=True)
class Stream:
    """An open stream. Whoever has news says `tell`, and the answer that is its reader `take`s them."""

    follower: Follower
    ends_with: UUID | None = None  # the job after whose end there is nothing more to say; None: it goes on
    is_over: bool = False
    told_at: float = field(default_factory=monotonic)
    numbers: dict[UUID, int] = field(default_factory=dict)  # of each job the state that was told last
    _pending: dict[UUID, bytes] = field(default_factory=dict)
    _news: asyncio.Event = field(default_factory=asyncio.Event)

    def tell(self, state: JobState) -> None:
        """Say this next, in the place of what was not said yet of the same job; nothing that was said already."""
        if self.numbers.get(state.job_id, 0) < state.number:
            self.numbers[state.job_id] = state.number
            self._pending[state.job_id] = state.event
            self.wake()
        if state.is_last and state.job_id == self.ends_with:
            self.end()

    def leave(self, job_id: UUID) -> None:
        """Wait no more for a job that cannot be told."""
        if job_id == self.ends_with:
            self.end()

    def wake(self) -> None:
        """Let the reader look: for news, for the end, or to say that nothing has happened."""
        self._news.set()

    def end(self) -> None:
        """Nothing more is said than what waits already."""
        self.is_over = True
        self.wake()

    async def take(self) -> bytes:
        """What is to be sent next, as soon as there is something."""
        await self._news.wait()
        self._news.clear()
        said = b"".join(self._pending.values())
        self._pending.clear()
        self.told_at = monotonic()
        return said or _BEAT


class EventStream(Response):
    """The answer that sends a stream until it is over, its caller goes, or takes nothing any more."""

    media_type = "text/event-stream"

    def __init__(self, stream: Stream, opened: contextlib.AbstractContextManager[None]) -> None:
        self.status_code = 200
        self.background = None
        self.init_headers({"x-accel-buffering": "no"})  # nginx would hold events back
        self._stream = stream
        self._opened = opened

    async def __call__(self, _: Scope, receive: Receive, send: Send) -> None:
        """Send; see ASGI."""
        listening = asyncio.create_task(_end_when_gone(receive, self._stream))
        try:
            with self._opened:
                await send({"type": "http.response.start", "status": 200, "headers": self.raw_headers})
                await _send_on(self._stream, send)
        finally:
            listening.cancel()


async def _send_on(stream: Stream, send: Send) -> None:
    said = _BEGINNING
    is_over = False
    while True:
        try:
            async with asyncio.timeout(_STALL_SECONDS):
                await send({"type": "http.response.body", "body": said, "more_body": not is_over})
        except TimeoutError:
            raise ClientDisconnect from None
        if is_over:
            return
        said = await stream.take()
        is_over = stream.is_over


async def _end_when_gone(receive: Receive, stream: Stream) -> None:
    while (await receive())["type"] != "http.disconnect":
        pass
    stream.end()


async def still_counts(validity: Validity) -> bool:
    """Whether a key or a session counts; where that cannot be said now, it does: the next round asks again."""
    try:
        return await validity.is_valid()
    except DatabaseUnavailable as error:
        log.warning("stream_not_checked", reason=words_of(error))
    except Exception:
        log.exception("stream_not_checked")
    return True
