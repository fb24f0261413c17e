"""A job that was accepted just now is told in ready-made words: the very ones that its record would give."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta, timezone
from typing import Any
from uuid import UUID

import orjson
import pytest

from api.http.root_path import set_root
from api.jobs.job_json import accepted_response, job_response
from shared.jobs.accepting.singles import Accepted
from shared.jobs.records import JobRecord
from shared.pages.request_id import RequestId
from shared.status import JobStatus, Queue

_ID = UUID("01a2197b-c912-72e3-a0d7-5b1a70f82d0d")
_MOMENT = datetime(2026, 11, 26, 21, 30, 5, 123456, UTC)


@pytest.mark.parametrize("root", ["", "/predictq/eu-west_1~x"])
@pytest.mark.parametrize("client_id", [1, -(2**63), 2**63 - 1, 'P-"1"\\', "été\n%b %(id)b", None, {"b": 1, "a": "ü"}])
@pytest.mark.parametrize("created_at", [_MOMENT, _MOMENT.replace(microsecond=0), _MOMENT + timedelta(days=1)])
@pytest.mark.parametrize("model", ["default", 'rôle "%b"'])
def test_ready_made_words_are_those_of_the_record(root: str, client_id: Any, created_at: datetime, model: str) -> None:
    """Whatever model, client and moment; under a root path, too."""
    accepted = Accepted(_ID, model, 3, Queue.INTERACTIVE, (1042,), RequestId(1042, 7), created_at=created_at)
    record = JobRecord(
        _ID, "single", "alice", JobStatus.QUEUED, model, 3, 1, 0, 0, 0, created_at,
        request_id=RequestId(1042, 7), client_id=client_id,
    )  # fmt: skip
    set_root(root)
    try:
        ready, slow = accepted_response(accepted, client_id), job_response(record, 0)
    finally:
        set_root("")
    assert (ready.body, ready.status_code) == (slow.body, slow.status_code)
    assert ready.raw_headers == slow.raw_headers
    assert orjson.loads(ready.body)["client_id"] == client_id


def test_moments_that_are_equal_in_two_zones_are_both_told() -> None:
    """Equal moments are one to the memory that keeps their text: the database gives all of them in one zone."""
    paris = _MOMENT.astimezone(timezone(timedelta(hours=1)))
    told = [
        orjson.loads(accepted_response(
            Accepted(_ID, "m", 1, Queue.INTERACTIVE, (1,), RequestId(1, 0), created_at=moment), 1
        ).body)["created_at"]
        for moment in (_MOMENT, paris)
    ]  # fmt: skip
    assert {datetime.fromisoformat(text) for text in told} == {_MOMENT}
