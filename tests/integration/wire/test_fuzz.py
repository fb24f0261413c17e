"""Any bytes at all: no crash, no hang, and no answer to somebody else's question.

Some seconds of it are a part of `make test`; `make fuzz-wire` goes on for a minute. A seed that fails is told by name.
"""

from __future__ import annotations

import os
import random
import re
import time
from collections.abc import Callable, Iterator

import pytest

from shared.postgres.engine import make_engine
from tests.integration.gateway.api_support import new_key, running_gateway
from tests.integration.wire.wire_support import Answer, WireGateway
from tests.roles import service_settings
from tests.support import add_clients, add_model

SECONDS = float(os.environ.get("PREDICTQ_FUZZ_SECONDS", "4"))
SEED = int(os.environ.get("PREDICTQ_FUZZ_SEED", "0")) or random.randrange(1, 2**31)
ONE = b'{"client_id": 1}'
WORDS = (
    *(
        b"\r\n",
        b"\r\n\r\n",
        b"\n",
        b"\r",
        b"\0",
        b" ",
        b":",
        b"\t",
        b",",
        b"/",
        b"?",
        b"#",
        b"%00",
        b"\xff",
        b"0\r\n\r\n",
    ),
    *(b"Content-Length: 5\r\n", b"Content-Length: 99999999999999999999\r\n", b"Transfer-Encoding: chunked\r\n"),
    *(
        b"Host: y\r\n",
        b"Connection: close\r\n",
        b"Connection: upgrade\r\nUpgrade: h2c\r\n",
        b"Expect: 100-continue\r\n",
    ),
    *(
        b"GET ",
        b"POST ",
        b"HEAD ",
        b"CONNECT ",
        b" HTTP/1.1",
        b" HTTP/1.0",
        b"HTTP/1.1 200 OK\r\n",
        b"X-Request-ID: z\r\n",
    ),
    *(b"fffffffffffffffff\r\n", b"-1\r\n", b"1;a=b\r\nx\r\n", b"a" * 9000, b"a: b\r\n" * 120, b"\x16\x03\x01"),
)


@pytest.fixture(scope="module")
def wire(make_database: Callable[..., str], module_redis_url: str) -> Iterator[WireGateway]:
    """A gateway that waits half a second for heads and bodies."""
    settings = service_settings(make_database(), module_redis_url, head_seconds=0.5, body_pause_seconds=0.5)
    engine = make_engine(settings, application_name="test", pool_size=2)
    add_model(engine)
    add_clients(engine, 5)
    with running_gateway(settings, new_key(engine, "alice")) as gateway:
        yield WireGateway(gateway, engine)
    engine.dispose()


def requests(wire: WireGateway, draw: random.Random, case: int) -> list[bytes]:
    """Some requests that are as they should be, each with an id of its own."""
    made = []
    for number in range(draw.randrange(1, 5)):
        name = f"X-Request-ID: {case}-{number}"
        kinds = (
            wire.get("/health/live", name),
            wire.get("/v1/nothing?q=1", name),
            wire.get("/health/live", name).replace(b"GET", b"HEAD"),
            wire.post(ONE, name),
            wire.post(b"not JSON", name),
            wire.chunked(ONE[:5], ONE[5:], headers=(name,)) + b"0\r\nTrailer: t\r\n\r\n",
        )
        made.append(draw.choice(kinds))
    return made


def spoilt(data: bytes, draw: random.Random) -> bytes:
    """The same with some mistakes in it."""
    for _ in range(draw.randrange(0, 4)):
        at, to = sorted((draw.randrange(len(data) + 1), draw.randrange(len(data) + 1)))
        way = draw.randrange(5)
        if way == 0:
            data = data[:at] + draw.choice(WORDS) + data[at:]
        elif way == 1:
            data = data[:at] + draw.randbytes(draw.randrange(1, 4)) + data[at + 1 :]
        elif way == 2:
            data = data[:at] + data[min(to, at + 20) :]
        elif way == 3:
            data = data[:at] + data[at : at + 200] + data[at:]
        else:
            data = data[:at] if draw.random() < 0.3 else data
    return data


def pieces(data: bytes, draw: random.Random) -> Iterator[bytes]:
    """In some packets, or in one."""
    cuts = sorted(draw.randrange(len(data) + 1) for _ in range(draw.randrange(0, 4)))
    for start, end in zip([0, *cuts], [*cuts, len(data)], strict=True):
        yield data[start:end]


def check(answers: list[Answer], data: bytes, *, is_whole: bool) -> None:
    """Ids come back in the order in which they stand in what was sent; all of them, where nothing was spoilt."""
    asked = [name.decode() for name in re.findall(rb"X-Request-ID: (\d+-\d+)\r\n", data)]
    told = [found for answer in answers if (found := answer.header("x-request-id")) in asked]
    left = iter(asked)
    assert all(name in left for name in told), (told, asked)
    assert all(answer.status < 500 for answer in answers)
    if is_whole:
        assert told == asked


def test_any_bytes_at_all(wire: WireGateway) -> None:
    """Each connection ends, what is answered is answered in order, and a neighbour's next call is answered rightly."""
    print(f"seed {SEED}")  # noqa: T201 - pytest shows it where the test fails
    draw = random.Random(SEED)
    end = time.monotonic() + SECONDS
    case = 0
    while time.monotonic() < end or case < 20:
        case += 1
        sent = requests(wire, draw, case)
        whole = b"".join(sent)
        data = spoilt(whole, draw)
        heads = [request.startswith(b"HEAD") for request in sent]
        with wire.connect() as connection:
            for piece in pieces(data, draw):
                connection.send(piece)
            connection.send(wire.get("/v1/last", "Connection: close"))
            if any(heads) or b"HEAD" in data:
                connection.seconds_until_closed()  # answers to HEAD cannot be told apart without knowing it
            else:
                answers = connection.answers()
                check(answers, data, is_whole=data == whole)
        if case % 10 == 0:
            with wire.connect() as neighbour:
                answer = neighbour.send(wire.get("/health/live", f"X-Request-ID: n{case}")).answer()
                assert (answer.status, answer.header("x-request-id")) == (200, f"n{case}"), case
    assert case >= 20
