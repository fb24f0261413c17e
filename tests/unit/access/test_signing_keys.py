"""A provider that is slow holds up nobody whose key is known."""

from __future__ import annotations

import threading
from typing import cast

from joserfc.jwk import KeySet, OctKey

from api.access.oidc.discovery import Discovery
from api.access.oidc.signing_keys import SigningKeys


def test_who_has_a_known_key_does_not_wait_for_the_provider() -> None:
    """Somebody has come with a key id that is new, and the provider does not answer; then it does."""
    keys = SigningKeys(cast("Discovery", None), allows_http=True, rest_seconds=0.0)
    old = KeySet([OctKey.import_key("old" * 11, {"kid": "old"})])
    new = KeySet([OctKey.import_key("new" * 11, {"kid": "new"})])
    asked, answers = threading.Event(), threading.Event()
    given = [old, new]

    def ask() -> KeySet:
        if len(given) == 1:
            asked.set()
            assert answers.wait(10)
        return given.pop(0)

    keys._ask = ask  # type: ignore[method-assign]
    assert keys.keys("old") is old
    found: list[KeySet] = []
    slow = threading.Thread(target=lambda: found.append(keys.keys("new")))
    slow.start()
    assert asked.wait(10)
    known: list[KeySet] = []
    quick = threading.Thread(target=lambda: known.append(keys.keys("old")))
    quick.start()
    quick.join(5)
    assert known == [old]
    answers.set()
    slow.join(10)
    assert found == [new]
