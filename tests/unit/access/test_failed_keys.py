"""Wrong keys are limited by the address that they come from, in a memory that does not grow."""

from __future__ import annotations

from api.access.failed_keys import _MOST_ADDRESSES, FailedKeys


class Clock:
    """A clock that goes by hand."""

    seconds = 100.0

    def __call__(self) -> float:
        return self.seconds


def test_an_address_may_fail_so_often_in_a_minute_and_others_are_free() -> None:
    """Three at once; a third of a minute later one more; nobody else is affected."""
    clock = Clock()
    failed = FailedKeys(3, clock)
    for _ in range(3):
        assert not failed.is_over("192.0.2.1")
        failed.note("192.0.2.1")
    assert failed.is_over("192.0.2.1")
    assert not failed.is_over("192.0.2.2")
    clock.seconds += 20.1
    assert not failed.is_over("192.0.2.1")
    failed.note("192.0.2.1")
    assert failed.is_over("192.0.2.1")
    assert (failed.failures, failed.refused) == (4, 2)


def test_ipv6_is_limited_by_network() -> None:
    """Whoever has a network of 64 bits has 2⁶⁴ addresses; an IPv4 address is the same in IPv6's spelling."""
    failed = FailedKeys(1, Clock())
    failed.note("2001:db8::1")
    assert failed.is_over("2001:db8::ffff:1%eth0")
    assert not failed.is_over("2001:db8:0:1::1")
    failed.note("192.0.2.1")
    assert failed.is_over("::ffff:192.0.2.1")
    assert not failed.is_over("no address: at all")


def test_its_memory_is_bounded() -> None:
    """However many addresses come, the one that failed longest ago is forgotten."""
    failed = FailedKeys(1, Clock())
    for number in range(_MOST_ADDRESSES + 500):
        failed.note(f"address {number}")
    assert len(failed._left) == _MOST_ADDRESSES
    assert not failed.is_over("address 0")
    assert failed.is_over(f"address {_MOST_ADDRESSES}")
