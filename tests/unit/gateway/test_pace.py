"""How often one address may be refused before its next calls are read later."""

from __future__ import annotations

from api.server.wire.pace import Pace


def test_a_seconds_worth_at_once_and_then_as_many_in_each_second() -> None:
    """The waits of refusals that come together add up, so that their calls come one after the other."""
    pace = Pace(10)
    waits = [pace.wait("a", 100.0) for _ in range(14)]
    assert waits[:10] == [0.0] * 10
    assert [round(wait, 6) for wait in waits[10:]] == [0.1, 0.2, 0.3, 0.4]
    assert pace.wait("b", 100.0) == 0.0
    assert round(pace.wait("a", 100.5), 6) == 0.0
    assert round(pace.wait("a", 100.5), 6) == 0.1


def test_a_wait_is_short_whatever_was_done_before() -> None:
    """A caller who asks without waiting for answers costs others of her address a second at most."""
    pace = Pace(10)
    assert max(pace.wait("a", 7.0) for _ in range(10_000)) <= 1.0
    assert pace.wait("a", 9.5) == 0.0


def test_who_has_all_of_her_time_again_is_forgotten() -> None:
    """Nothing is kept of addresses that have gone."""
    pace = Pace(10)
    for number in range(100):
        pace.wait(str(number), 5.0)
    pace.forget(5.05)
    assert len(pace) == 100
    pace.forget(5.2)
    assert len(pace) == 0
