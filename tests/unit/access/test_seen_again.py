"""What a long call came with is looked at once more: what ends the call, and what does not."""

from __future__ import annotations

import asyncio
from types import SimpleNamespace
from typing import Any, cast

import pytest

from api.access import auth, long_calls
from api.access.auth import Auth
from api.access.caller import person_caller
from api.access.caps import Cap
from api.access.failed_keys import FailedKeys
from api.access.oidc.fetch import ProviderAway
from api.access.oidc.groups import GroupRights
from api.access.oidc.person import Person, TokenExpired, TokenRefused
from api.http.problems import Unauthorised
from api.intake.warm_up import WarmUps
from shared.errors import DatabaseUnavailable

ANN = Person("ann", None, GroupRights(group="team", owner="ann", roles=("bulk",)), ())
HEADER, ADDRESS = b"Bearer token", "192.0.2.1"


@pytest.fixture(autouse=True)
def at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """Nothing is remembered, so that the tests need not wait."""
    for module, name in ((auth, "_REMEMBER_SECONDS"), (auth, "_ASK_AGAIN_SECONDS"), (long_calls, "_ASK_AFTER_SECONDS")):
        monkeypatch.setattr(module, name, 0.0)


def long_call(second: Person | Exception) -> bool:
    """Whether a call by a token goes on for which a second look gives this; and what an open stream would do."""
    looks: list[Person | Exception] = [ANN, second, second]

    class People:
        async def person(self, _: str) -> Person:
            found = looks.pop(0)
            if isinstance(found, Exception):
                raise found
            return found

    people = cast("Any", People())
    one = Auth(cast("Any", SimpleNamespace(executor=None)), disabled=False, failed_keys=FailedKeys(9), people=people)

    async def call() -> bool:
        caller = await one.caller(HEADER, ADDRESS)
        await long_calls.need_still_valid()
        return await one.validity_of(caller, HEADER, ADDRESS).is_valid()

    return asyncio.run(call())


def test_a_token_may_expire_while_a_call_goes_on() -> None:
    """A long upload was lost at its end. What is open for good, as a stream, ends with the token."""
    assert long_call(ANN)
    assert not long_call(TokenExpired())


def test_a_token_that_counts_no_longer_ends_the_call() -> None:
    """Its key was withdrawn, or its bearer is in no group any more."""
    with pytest.raises(Unauthorised, match="since it began"):
        long_call(TokenRefused("The token is not valid."))


@pytest.mark.parametrize("error", [ProviderAway("no answer"), DatabaseUnavailable(OSError())])
def test_while_nobody_can_tell_a_call_goes_on(error: Exception) -> None:
    """A provider that is away made the end of an upload a 503."""

    async def fail() -> bool:
        raise error

    async def call() -> None:
        long_calls.note_seen(fail)
        await long_calls.need_still_valid()

    asyncio.run(call())


def test_a_version_does_not_go_live_by_a_key_that_was_revoked_meanwhile() -> None:
    """Loading it may take twenty seconds."""

    class Threads:
        async def read(self, _: Any) -> Any:
            return []  # no worker: nothing is waited for

    async def promote(*, is_valid: bool) -> None:
        async def look() -> bool:
            return is_valid

        long_calls.note_seen(look)
        cap = Cap("errands", "calls that wait for a worker", of_key=3, of_all=3)
        version = cast("Any", SimpleNamespace(id=7, label="churn:3"))
        await WarmUps(cast("Any", Threads()), cap).run(version, person_caller(ANN))

    asyncio.run(promote(is_valid=True))
    with pytest.raises(Unauthorised, match="since it began"):
        asyncio.run(promote(is_valid=False))
