"""Uploads at the gateway: refusals as problems, limits while they run, and pages of what was taken."""

from __future__ import annotations

import asyncio
import hashlib
import json
from types import SimpleNamespace
from typing import Any
from uuid import UUID, uuid4

import pytest
from hypothesis import given
from hypothesis import strategies as st
from starlette.types import Message

from api.http.problems import Invalid, Problem
from api.intake import kept_files, key_spool
from api.intake.kept_files import too_large_words
from api.intake.uploads import HashedBody, Upload
from api.server.turns import Turns
from shared.jobs.accepting.key_pages import KeyPage
from shared.sources.keys import KeyColumn, KeyForm
from shared.uploaded_files import PIECE_BYTES
from shared.uploads.reader import KeyReader

WHOLE = f"client_id must be a whole number from {-(2**63) + 1} to {2**63 - 1}, or its digits as a string"
INTEGER = KeyForm((KeyColumn("client_id", "bigint"),))


def fill(upload: Upload, content: bytes) -> None:
    for _ in upload.steps(content, is_last=True):
        pass


def test_a_refusal_points_to_its_lines() -> None:
    """As a problem whose flaws name the line in pointer and sentence."""
    with Upload(KeyReader.of_csv(INTEGER), max_rows=10) as upload, pytest.raises(Invalid) as caught:
        fill(upload, b"1\nx\n3\n1.0\n")
    assert [(flaw.pointer, flaw.code, flaw.detail) for flaw in caught.value.flaws] == [
        ("/line/2", "invalid_client_id", f"line 2: {WHOLE}"),
        ("/line/4", "invalid_client_id", f"line 4: {WHOLE}"),
    ]


@pytest.mark.parametrize("line", [b"1\n", b"\n", b"  \n"])
def test_too_many_lines_are_refused_before_the_end(line: bytes) -> None:
    """The limits of rows and of blank lines count while the upload still runs."""
    with Upload(KeyReader.of_csv(INTEGER), max_rows=10) as upload, pytest.raises(Problem, match="10 rows") as caught:
        for _ in upload.steps(line * 70_000):
            pass
    assert caught.value.kind.status == 413
    with Upload(KeyReader.of_csv(INTEGER), max_rows=10) as upload:
        fill(upload, line * 10)


def test_others_have_their_turn_while_an_upload_is_parsed() -> None:
    """However large the pieces are in which it comes: after each block of 64 kB the event loop goes round."""
    turns = 0

    async def others() -> None:
        nonlocal turns
        while True:
            turns += 1
            await asyncio.sleep(0)

    async def receive() -> Message:
        return {"type": "http.request", "body": b" 1234567\n" * 200_000, "more_body": False}

    async def run() -> None:
        other = asyncio.create_task(others())
        await upload.receive_all(receive, Turns(), "k")
        other.cancel()

    with Upload(KeyReader.of_csv(INTEGER), max_rows=10**6) as upload:
        asyncio.run(run())
        assert upload.count == 200_000
    assert turns >= 25


def test_the_digest_is_of_the_bytes_as_they_came() -> None:
    """However they are cut into pieces, and however few of them were looked at before the upload was refused."""

    def body_of(*pieces: bytes) -> HashedBody:
        left = list(pieces)

        async def receive() -> Message:
            return {"type": "http.request", "body": left.pop(0), "more_body": bool(left)}

        return HashedBody(receive)

    async def refused(body: HashedBody) -> str:
        with Upload(KeyReader.of_csv(INTEGER), max_rows=10) as upload, pytest.raises(Invalid):
            await upload.receive_all(body.receive, Turns(), "k")
        return await whole(body)

    async def whole(body: HashedBody) -> str:
        assert await body.take_rest(most_bytes=100)
        return body.digest()

    expected = hashlib.sha256(b"007\nfive\n6\n").hexdigest()
    for pieces in ((b"007\nfive\n6\n",), (b"007\nfi", b"ve\n6", b"\n"), (b"007\nfive\n", b"6\n", b"")):
        assert asyncio.run(refused(body_of(*pieces))) == expected
        assert asyncio.run(whole(body_of(*pieces))) == expected
    assert asyncio.run(whole(body_of(b"7\nfive\n6\n"))) != expected


def test_a_body_ends_where_nothing_is_said_of_more() -> None:
    """As ASGI has it: the next message would be that the caller has gone."""

    async def receive() -> Message:
        return {"type": "http.request", "body": b"7\n"}

    async def run() -> tuple[bool, str]:
        body = HashedBody(receive)
        return await body.take_rest(most_bytes=100), body.digest()

    assert asyncio.run(run()) == (True, hashlib.sha256(b"7\n").hexdigest())


def test_a_body_without_end_is_not_waited_for() -> None:
    """After a refusal nobody counts its rows any more."""
    pieces = 0

    async def receive() -> Message:
        nonlocal pieces
        pieces += 1
        return {"type": "http.request", "body": b"7\n" * 50, "more_body": True}

    assert not asyncio.run(HashedBody(receive).take_rest(most_bytes=1_000))
    assert pieces == 11


@given(
    st.lists(st.integers(1, 2**63 - 1), max_size=60),
    st.integers(1, 70),
    st.integers(1, 200),
)
def test_an_upload_is_handed_on_in_pages(ids: list[int], rows: int, piece: int) -> None:
    """In order, each page full but the last, whatever is read from the spool at once; and from the start again."""
    with pytest.MonkeyPatch.context() as patch, Upload(KeyReader.of_csv(INTEGER), max_rows=1000) as upload:
        patch.setattr(key_spool, "_PIECE", piece)
        fill(upload, "".join(f"{item}\n" for item in ids).encode())
        expected = [",".join(map(str, ids[start : start + rows])).encode() for start in range(0, len(ids), rows)]
        for _ in range(2):
            assert list(upload.rows.pages(rows)) == [KeyPage(keys) for keys in expected]


@given(st.lists(st.sampled_from(["1", "007", "12", "0"]), max_size=40), st.integers(1, 9))
def test_how_keys_were_written_is_kept_by_page_and_row(texts: list[str], rows: int) -> None:
    """Only where that is not the natural form."""
    with Upload(KeyReader.of_csv(INTEGER), max_rows=1000) as upload:
        fill(upload, "".join(f"{text}\n" for text in texts).encode())
        for number, page in enumerate(upload.rows.pages(rows)):
            part = texts[number * rows : (number + 1) * rows]
            assert page.keys == ",".join(str(int(text)) for text in part).encode()
            spelled = {str(row): text for row, text in enumerate(part) if text != str(int(text))}
            assert (page.spelled and json.loads(page.spelled)) == (spelled or None)


@pytest.mark.parametrize(
    ("most", "said"),
    [
        (1_000_000, "A file may have 1,000,000 bytes (PREDICTQ_MAX_FILE_BYTES)."),
        (256_000_000, "a model 200,000,000, whatever is set."),
    ],
)
def test_a_file_that_is_too_large_is_told_the_limits_that_hold(most: int, said: str) -> None:
    """A model has one of its own: a larger setting does not help it."""
    told = too_large_words(most)
    assert told.endswith(said)
    assert f"{most:,} bytes (PREDICTQ_MAX_FILE_BYTES)" in told


def test_a_kept_body_is_stored_while_it_comes(monkeypatch: pytest.MonkeyPatch) -> None:
    """In pieces of a fixed size, whatever that of its messages: no more than a message and a piece is in memory."""
    message, count = b"x" * 700_000, 5
    stored: list[bytes] = []
    before_last: list[int] = []
    left = count

    async def receive() -> Message:
        nonlocal left
        left -= 1
        if left == 0:
            before_last.append(len(stored))
        return {"type": "http.request", "body": message, "more_body": left > 0}

    async def store(_: Any, owner: str, upload_id: UUID, number: int, content: bytes, size: int) -> None:
        assert (owner, number, size) == ("o", len(stored), sum(map(len, stored)) + len(content))
        stored.append(content)

    monkeypatch.setattr(kept_files, "_store", store)
    services: Any = SimpleNamespace(settings=SimpleNamespace(max_file_bytes=10**8))
    size = asyncio.run(kept_files._keep(HashedBody(receive), services, "o", uuid4()))
    assert size == count * len(message)
    assert b"".join(stored) == message * count
    assert [len(piece) for piece in stored[:-1]] == [PIECE_BYTES] * (len(stored) - 1)
    assert before_last == [(count - 1) * len(message) // PIECE_BYTES]
