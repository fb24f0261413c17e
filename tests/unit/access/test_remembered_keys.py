"""Who calls: with a key, without one, or on a screen; and how many keys are remembered."""

from __future__ import annotations

import asyncio
from types import SimpleNamespace
from typing import Any, cast

import pytest

from api.access import auth
from api.access.auth import Acting, Auth, Validity, acting_as
from api.access.caller import Caller
from api.http.problems import Problem

ANN = Caller("ann", ("predict",))


def make(*, disabled: bool = False) -> Auth:
    """Asks no database."""
    return Auth(cast("Any", SimpleNamespace(executor=None)), disabled=disabled, failed_keys=cast("Any", None))


def remember(auth_: Auth, key: bytes, *, is_good: bool) -> None:
    """As a look-up does."""
    auth_._remember(key, is_good=is_good)
    auth_._known[key] = auth._Known(ANN if is_good else None, 0.0, 0.0)


def test_everybody_is_somebody_where_no_key_is_needed() -> None:
    """And nobody is where one is."""
    assert make().anonymous is None
    anonymous = make(disabled=True).anonymous
    assert anonymous is not None
    assert (anonymous.owner, asyncio.run(make(disabled=True).caller(None, "192.0.2.1"))) == ("anonymous", anonymous)


def test_a_screen_calls_for_whoever_is_signed_in() -> None:
    """For as long as the session counts, whatever key comes with it."""

    async def is_valid() -> bool:
        return True

    acting = Acting(ANN, Validity(b"session", is_valid))
    one = make()
    with acting_as(acting):
        assert asyncio.run(one.caller(b"Bearer pq_other", "192.0.2.1")) is ANN
        assert one.validity_of(ANN, b"Bearer pq_other", "192.0.2.1") is acting.validity
    assert one.validity_of(ANN, b"Bearer pq_other", "192.0.2.1").came_with != b"session"


def test_good_keys_are_remembered_up_to_a_number(monkeypatch: pytest.MonkeyPatch) -> None:
    """Beyond it the one is forgotten that was good the longest time ago; one that is good no more is, at once."""
    monkeypatch.setattr(auth, "_REMEMBERED", 3)
    one = make()
    for key in (b"a", b"b", b"c", b"a"):
        remember(one, key, is_good=True)
    assert list(one._good) == [b"b", b"c", b"a"]
    remember(one, b"d", is_good=True)
    assert list(one._good) == [b"c", b"a", b"d"]
    remember(one, b"a", is_good=False)
    assert list(one._good) == [b"c", b"d"]


def test_what_look_ups_found_is_remembered_up_to_a_number(monkeypatch: pytest.MonkeyPatch) -> None:
    """Beyond it wrong keys are forgotten, and good ones, too, where they are many."""
    monkeypatch.setattr(auth, "_REMEMBERED", 6)
    one = make()
    for key, is_good in ((b"a", True), (b"b", True), (b"c", False), (b"d", False), (b"e", False), (b"f", False)):
        remember(one, key, is_good=is_good)
    assert list(one._known) == [b"a", b"b", b"c", b"d", b"e", b"f"]
    remember(one, b"g", is_good=True)
    assert list(one._known) == [b"a", b"b", b"g"]
    for key in (b"h", b"i", b"j"):
        remember(one, key, is_good=False)
    remember(one, b"k", is_good=True)
    assert list(one._known) == [b"k"]


@pytest.mark.parametrize("is_good", [True, False])
def test_a_key_that_is_good_is_looked_up_whatever_came_from_its_address(is_good: bool) -> None:
    """One that was never found is not, once its address has failed too often."""
    one = make()

    found = SimpleNamespace(id=1, owner="ann", roles=("predict",), max_waiting_rows=None, models=None)

    async def look_up(_: str) -> Any:
        return found if is_good else None

    one._look_ups = cast("Any", SimpleNamespace(submit=look_up))
    known = asyncio.run(one._look_up(b"digest", "pq_key"))
    assert (known.caller is not None, b"digest" in one._good) == (is_good, is_good)
    assert one.take_used() == ({1} if is_good else set())


def test_who_lacks_a_role_is_told_what_gives_it() -> None:
    """A person's group at the identity provider, and anybody else's key."""
    with pytest.raises(Problem) as of_person:
        Caller("ann", ("predict",), person="ann@example.org").need("admin")
    assert of_person.value.detail == (
        "This call needs the role 'admin'. Your group at the identity provider has predict."
    )
    with pytest.raises(Problem) as of_key:
        ANN.need("admin", "operate")
    assert of_key.value.detail == "This call needs a key with the role 'admin' or 'operate'; yours has predict."
