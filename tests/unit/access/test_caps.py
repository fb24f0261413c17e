"""What may be open at a time: counted by API key and in all, and given back whatever happens."""

from __future__ import annotations

import pytest

from api.access.caller import Caller
from api.access.caps import Cap, TooManyAtOnce

ALICE, BOB, CAROL = (Caller(name, (), key_id=number) for number, name in enumerate(("alice", "bob", "carol")))


def waiters() -> Cap:
    return Cap("waiters", "waiting calls", of_key=2, of_all=3)


def test_a_key_has_no_more_open_than_its_cap_and_takes_nothing_from_another() -> None:
    """The refusal is a 429 with Retry-After that names the cap, and the other key is let in."""
    cap = waiters()
    with cap.place(ALICE), cap.place(ALICE):
        with pytest.raises(TooManyAtOnce) as refused:
            cap.take(ALICE)
        with cap.place(BOB):
            assert (cap.open, cap.refused) == (3, {"key_waiters": 1, "all_waiters": 0})
    problem = refused.value
    assert (problem.kind.status, problem.kind.retry_after) == (429, 1)
    assert [flaw.code for flaw in problem.flaws] == ["key_waiters"]
    assert problem.detail.startswith("2 waiting calls are open for your API key")


def test_all_keys_together_have_a_cap_of_their_own() -> None:
    """Three places for all: the fourth is refused in the name of `all_waiters`, whoever asks."""
    cap = waiters()
    with cap.place(ALICE), cap.place(ALICE), cap.place(BOB):
        with pytest.raises(TooManyAtOnce) as refused:
            cap.take(CAROL)
        assert [flaw.code for flaw in refused.value.flaws] == ["all_waiters"]


def test_places_come_back_also_after_errors_and_leave_nothing_behind() -> None:
    """However often callers come, are refused and fail, nothing stays open and no key stays in memory."""
    cap = waiters()
    for number in range(1000):
        caller = Caller("x", (), key_id=10 + number)
        with pytest.raises(ZeroDivisionError), cap.place(caller):
            raise ZeroDivisionError
    with cap.place(ALICE), cap.place(ALICE), cap.place(BOB):
        for number in range(10):
            with pytest.raises(TooManyAtOnce):
                cap.take(Caller("x", (), key_id=10 + number))
        assert len(cap._open) == 2
    assert (cap.open, len(cap._open)) == (0, 0)
