"""Nobody keeps a connection by saying nothing, by saying it slowly, or by not listening; and there are only so many."""

from __future__ import annotations

import asyncio
import contextlib
import re
import socket
import threading
import time
from collections.abc import Iterator

import pytest
from sqlalchemy import Engine, text

from api.server.wire.connections import Connections
from api.server.wire.link import Link
from api.server.wire.reasons import Reason
from shared.config import Settings
from tests.integration.gateway.api_support import new_key, running_gateway
from tests.integration.wire.wire_support import Wire, WireGateway
from tests.support import wait_until

ONE = b'{"client_id": 1}'
LATE = 20  # seconds that a busy machine may take for what is due in one


@contextlib.contextmanager
def gateway_with(engine_and_settings: tuple[Engine, Settings], **limits: object) -> Iterator[WireGateway]:
    """A gateway with limits of its own."""
    engine, settings = engine_and_settings
    with running_gateway(settings.model_copy(update=limits), new_key(engine, "alice")) as gateway:
        yield WireGateway(gateway, engine)


@pytest.fixture(scope="module")
def hurried(engine_and_settings: tuple[Engine, Settings]) -> Iterator[WireGateway]:
    """A gateway that waits a second for whatever callers have to do."""
    limits = {"head_seconds": 1, "body_pause_seconds": 1, "idle_seconds": 1, "unread_seconds": 1}
    with gateway_with(engine_and_settings, **limits) as wire:
        yield wire


def trickle(wire: Wire, piece: bytes, *, pause: float, stop: threading.Event) -> threading.Thread:
    """Send a piece again and again, until told to stop."""

    def run() -> None:
        while not stop.wait(pause):
            wire.send(piece)

    thread = threading.Thread(target=run)
    thread.start()
    return thread


@pytest.mark.parametrize("way", ["silence", "half a head", "a head byte by byte", "blank lines"])
def test_a_head_comes_in_time(hurried: WireGateway, way: str) -> None:
    """Else the connection ends: with 408 where anything was said, without a word where nothing was."""
    reason = "silent" if way == "silence" else "head_too_slow"
    stop = threading.Event()
    with hurried.counting(reason), hurried.connect() as wire:
        if way != "silence":
            wire.send(b"GET /health/live HTTP/1.1\r\n" if way != "blank lines" else b"\r\n")
        threads = []
        if way in ("a head byte by byte", "blank lines"):
            threads.append(trickle(wire, b"a" if "byte" in way else b"\r\n", pause=0.05, stop=stop))
        if way == "silence":
            assert wire.seconds_until_closed() < LATE
        else:
            assert wire.answer().problem["type"] == "/problems/request-timeout"
            assert wire.ends()
        stop.set()
        for thread in threads:
            thread.join()


@pytest.mark.parametrize("path", ["/v1/predict", "/v1/jobs", "/v1/nothing"])
@pytest.mark.parametrize("way", ["silence", "a trickle", "chunks of a byte"])
def test_a_body_moves(hurried: WireGateway, way: str, path: str) -> None:
    """Else it is answered 408 (or what is due without it), the connection ends, and nothing is stored."""
    before = hurried.stored()
    stop = threading.Event()
    with hurried.connect() as wire:
        is_chunked = way == "chunks of a byte"
        wire.send(hurried.chunked(b"{", path=path) if is_chunked else hurried.post(b"{", path=path, length=100_000))
        piece = b"1\r\n \r\n" if is_chunked else b" "
        threads = [] if way == "silence" else [trickle(wire, piece, pause=0.02, stop=stop)]
        began = time.monotonic()
        answers = wire.answers()
        stop.set()
        assert [answer.status for answer in answers] == [404 if path == "/v1/nothing" else 408]
        assert time.monotonic() - began < LATE
        for thread in threads:
            thread.join()
    assert hurried.stored() == before


def test_a_body_may_pause(hurried: WireGateway) -> None:
    """A piped upload that comes in bursts is taken, however long it is in all."""
    rows = b"client_id\n" + b"1\n" * 2000
    with hurried.connect() as wire:
        wire.send(hurried.post(b"", path="/v1/jobs", length=len(rows)).replace(b"application/json", b"text/csv"))
        for start in range(0, len(rows), 500):
            wire.send(rows[start : start + 500])
            time.sleep(0.2)
        assert wire.answer().status == 202


def test_time_in_which_the_gateway_stood_still_is_nobodys_fault(
    engine_and_settings: tuple[Engine, Settings], monkeypatch: pytest.MonkeyPatch
) -> None:
    """On a machine that stops for longer than a head may take, nobody who has just come is shown out for it."""
    enter = Connections.enter

    def enter_and_stand_still(self: Connections, connection: Link, address: str) -> Reason | None:
        asyncio.get_running_loop().call_later(0.1, time.sleep, 3)
        return enter(self, connection, address)

    monkeypatch.setattr(Connections, "enter", enter_and_stand_still)
    with gateway_with(engine_and_settings, head_seconds=2) as gateway, gateway.connect() as wire:
        time.sleep(3.6)  # what is sent at once would be read before anybody looks at the time
        wire.send(gateway.get("/health/live", "Connection: close"))
        assert wire.answer().status == 200


def test_idle_connections_end(hurried: WireGateway) -> None:
    """After their time, and not while a call is open, however long it takes."""
    before = hurried.refused("idle")
    with hurried.connect() as wire:
        wire.send(hurried.post(ONE, "Prefer: wait=3"))
        began = time.monotonic()
        assert wire.answer().status == 202
        assert time.monotonic() - began > 2.5
        assert wire.ends()
    assert hurried.refused("idle") > before


def test_a_caller_who_does_not_listen_is_cut(hurried: WireGateway) -> None:
    """Her answers would fill the memory, and their callers the connections."""
    with hurried.connect(receive_bytes=4096) as wire, hurried.counting("answer_unread"):
        wire.send(hurried.get("/openapi.json", f"Authorization: {hurried.key}") * 200)
    assert hurried.ask(hurried.get("/health/live", "Connection: close"))[0].status == 200


def test_the_rest_of_a_refused_body_is_not_swallowed(hurried: WireGateway) -> None:
    """64 kB of it are read, so that the answer arrives; blank lines without end are cut."""
    with hurried.counting("refused_body_cut"), hurried.connect() as wire:
        rows = b"client_id\nnot a number\n" + b"1\n" * 50_000
        wire.send(hurried.chunked(rows, path="/v1/jobs").replace(b"application/json", b"text/csv"))
        blank = b"4000\r\n" + b"\n" * 0x4000 + b"\r\n"
        answer = wire.answer()
        assert (answer.status, answer.header("connection")) == (422, "close")
        assert wire.pour(blank, most=30_000_000) < 10_000_000  # nearly all of it in the buffers of two sockets


def test_a_short_rest_keeps_the_connection(hurried: WireGateway) -> None:
    """An answer before the body's end costs nobody a new connection."""
    with hurried.connect() as wire:
        wire.send(hurried.post(ONE[:5], length=len(ONE)).replace(hurried.key.encode(), b"Bearer pq_wrong"))
        answer = wire.answer()
        assert (answer.status, answer.header("connection")) == (401, None)
        wire.send(ONE[5:] + hurried.get())
        assert wire.answer().status == 200


@pytest.mark.parametrize("root", ["", "/predictq"])
def test_there_is_room_for_health_when_all_is_taken(engine_and_settings: tuple[Engine, Settings], root: str) -> None:
    """Beyond the most connections: /health is answered, all else 503; beyond those kept back 503 at once.

    Also by the path under which a proxy shows it.
    """
    with gateway_with(engine_and_settings, max_connections=10, health_connections=2, root_path=root) as wire:
        wire.gateway.close()  # its own connection
        live, last = wire.get(), wire.get("/v1/nothing", "Connection: close")
        with contextlib.ExitStack() as held:
            taken = [held.enter_context(wire.connect()) for _ in range(10)]
            assert [each.send(live).answer().status for each in taken] == [200] * 10
            with wire.connect() as spare, wire.connect() as other, wire.connect() as beyond:
                assert beyond.answer().problem["type"] == "/problems/too-many-connections"
                spare.send(wire.get(f"{root}/health/live"))
                answer = spare.answer()
                assert (answer.status, answer.header("connection")) == (200, "close")
                other.send(wire.get("/v1/jobs", f"Authorization: {wire.key}"))
                refused = other.answer()
                assert (refused.status, refused.header("retry-after")) == (503, "5")
                assert refused.problem["type"] == "/problems/too-many-connections"
        wait_until(lambda: [answer.status for answer in wire.ask(last)] == [404], what="room again")


def test_one_address_has_so_many(engine_and_settings: tuple[Engine, Settings]) -> None:
    """Others are not hindered, and a trusted proxy, behind whom all are, may have more."""
    with gateway_with(engine_and_settings, max_connections_per_address=5, trusted_proxies="127.0.0.3") as wire:
        wire.gateway.close()
        with contextlib.ExitStack() as held:
            for _ in range(5):
                assert held.enter_context(wire.connect()).send(wire.get()).answer().status == 200
            with wire.connect() as sixth:
                assert sixth.answer().status == 503
            for source in ("127.0.0.2", *["127.0.0.3"] * 8):
                assert held.enter_context(wire.connect(source=source)).send(wire.get()).answer().status == 200


def test_whoever_is_refused_too_often_is_read_later(engine_and_settings: tuple[Engine, Settings]) -> None:
    """Beyond a second's worth of refusals; nothing is dropped, and calls that are not refused are not slowed."""
    with gateway_with(engine_and_settings, refusals_per_second=20, trusted_proxies="127.0.0.3") as wire:
        refused = wire.get("/v1/nothing")
        began = time.monotonic()
        with wire.connect() as often:
            assert [often.send(refused).answer().status for _ in range(60)] == [404] * 60
            often.send(refused * 5 + wire.get())  # what came at once is slowed as well
            assert [often.answer().status for _ in range(6)] == [404] * 5 + [200]
        assert time.monotonic() - began > 44 / 20
        slowed = _read_later(wire, "refused_often")
        assert slowed >= 20  # the others waited for an answer themselves
        with wire.connect() as good, wire.connect(source="127.0.0.3") as proxy:
            assert [good.send(wire.get()).answer().status for _ in range(50)] == [200] * 50
            assert [proxy.send(refused).answer().status for _ in range(50)] == [404] * 50
        assert _read_later(wire, "refused_often") == slowed


def test_whoever_asks_too_often_for_what_needs_no_key_is_read_later(
    engine_and_settings: tuple[Engine, Settings],
) -> None:
    """Health, metrics and the OpenAPI document; whether the process is up may always be asked."""
    with gateway_with(engine_and_settings, refusals_per_second=20, trusted_proxies="127.0.0.3") as wire:
        began = time.monotonic()
        with wire.connect() as often:
            for path in ("/health", "/health/ready", "/metrics", "/openapi.json") * 15:
                assert often.send(wire.get(path, host="localhost")).answer().status == 200
        assert time.monotonic() - began > 39 / 20
        slowed = _read_later(wire, "watched_often")
        assert slowed > 0  # the others waited for an answer themselves
        with wire.connect() as good, wire.connect(source="127.0.0.3") as proxy:
            assert [good.send(wire.get("/health/live")).answer().status for _ in range(50)] == [200] * 50
            assert [proxy.send(wire.get("/health")).answer().status for _ in range(50)] == [200] * 50
        assert _read_later(wire, "watched_often") - slowed <= 1  # the look at the metrics itself
        assert _read_later(wire, "refused_often") == 0


def test_who_hangs_up_while_read_later_leaves_room(engine_and_settings: tuple[Engine, Settings]) -> None:
    """A connection for each refused call: the next ones find room, for those that have ended do not count."""
    with gateway_with(engine_and_settings, refusals_per_second=1, max_connections_per_address=20) as wire:
        wire.gateway.close()
        refused = wire.get("/v1/nothing")
        for _ in range(100):
            with wire.connect() as often:
                assert often.send(refused).answer().status == 404


def _read_later(wire: WireGateway, reason: str) -> int:
    figures = wire.gateway.get("/metrics").text
    found = re.search(rf'predictq_wire_refusals_total\{{reason="{reason}"\}} (\d+)', figures)
    assert found, figures
    return int(found[1])


def test_acts_are_written_down_with_the_callers_address(engine_and_settings: tuple[Engine, Settings]) -> None:
    """The one that a trusted proxy names; what a caller says of herself is believed from nobody else."""
    engine, _ = engine_and_settings
    seen = []
    for trusted in ("127.0.0.1", "10.0.0.0/8"):
        with gateway_with(engine_and_settings, trusted_proxies=trusted) as wire:
            admin = {"Authorization": f"Bearer {new_key(engine, 'root', is_admin=True)}"}
            forwarded = {"X-Forwarded-For": "192.0.2.1, 203.0.113.9, 127.0.0.1"}
            wanted = {"keep_for": "2 years"}
            assert wire.gateway.put("/v1/retention", json=wanted, headers={**admin, **forwarded}).status_code == 200
        with engine.connect() as connection:
            last = text("SELECT address FROM predictq.audit_log ORDER BY id DESC LIMIT 1")
            seen.append(connection.execute(last).scalar_one())
    assert seen == ["203.0.113.9", "127.0.0.1"]


def test_six_hundred_silent_connections_end(engine_and_settings: tuple[Engine, Settings]) -> None:
    """Silent, with half a head, or with half a body: none is left, and a neighbour's calls are answered meanwhile."""
    limits = {"head_seconds": 2, "body_pause_seconds": 2, "max_connections_per_address": 1000}
    with gateway_with(engine_and_settings, **limits) as wire, contextlib.ExitStack() as held:
        begun = (b"", b"GET / HTTP/1.1\r\nHost:", wire.post(b"{", length=100))
        for number in range(600):
            held.enter_context(wire.connect()).send(begun[number % 3])
        assert wire.ask(wire.get("/health/live", "Connection: close"))[0].status == 200

        def open_connections() -> int:
            lines = wire.metrics().splitlines()
            return int(float(next(line for line in lines if line.startswith("predictq_connections ")).split()[1]))

        wait_until(lambda: open_connections() <= 2, seconds=LATE + 10, what="all ended")


def test_a_stop_does_not_wait_for_the_silent(engine_and_settings: tuple[Engine, Settings]) -> None:
    """Nor for half a head: the gateway ends at once, and says nothing to them."""
    with contextlib.ExitStack() as held:
        began = time.monotonic()
        with gateway_with(engine_and_settings) as wire:
            for begun in (b"", b"GET / HTTP/1.1\r\nHost:", wire.get()):
                held.enter_context(wire.connect()).send(begun)
            began = time.monotonic()
        assert time.monotonic() - began < LATE
        with pytest.raises(OSError, match="refused"):
            socket.create_connection((wire.gateway.base_url.host, wire.gateway.base_url.port)).close()
