"""Holds and periods that come while retention runs: whenever it is, nothing that must stay goes."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import suppress

import pytest
from sqlalchemy import Connection, Engine, event, text

from shared.errors import DatabaseBlocked
from shared.postgres.engine import transaction
from shared.retention.rules.errors import HoldsChanged, PeriodsChanged
from shared.retention.rules.holds import add_hold, list_holds, release_hold
from shared.retention.rules.policy import read_policy, set_floor, set_period
from tests.integration.stored.test_upkeep_retention import MONDAY, let_go
from tests.integration.stored.upkeep_support import Stored, add_version, close_range, count_rows, store_singles
from tests.roles import as_upkeep

Rule = Callable[[Connection, Stored], object]

_RULES: dict[str, Rule] = {
    "model": lambda connection, _: add_hold(connection, reason="r", actor="ann", model="default"),
    "job": lambda connection, stored: add_hold(connection, reason="r", actor="ann", job_id=stored.job_ids[0]),
    "client": lambda connection, _: add_hold(connection, reason="r", actor="ann", client_key="1"),
    "period of all": lambda connection, _: set_period(connection, "for ever"),
    "period of a model": lambda connection, _: set_period(connection, "5 years", model="default"),
    "floor": lambda connection, _: connection.execute(
        text("UPDATE predictq.retention_default SET floor = interval '5 years'")
    ),
}


@pytest.fixture
def stored(engine: Engine) -> Stored:
    """A page of two single jobs in partitions that are due as a whole."""
    version_id = add_version(engine)
    with transaction(engine) as connection:
        set_period(connection, "13 months")
    stored = store_singles(engine, MONDAY, [1, 2], version_id)
    close_range(engine)
    return stored


@pytest.mark.parametrize("rule", _RULES)
def test_a_rule_that_comes_before_any_statement_is_obeyed(engine: Engine, stored: Stored, rule: str) -> None:
    """Committed before whichever statement of a run, up to the lock that ends the looking: nothing goes."""
    seen: list[str] = []
    place = 0

    def commit_rule(_connection: Connection, _cursor: object, statement: str, *_: object) -> None:
        seen.append(statement)
        if len(seen) == place:
            with transaction(engine) as connection:
                _RULES[rule](connection, stored)

    upkeep = as_upkeep(engine)
    event.listen(upkeep, "before_cursor_execute", commit_rule)
    try:
        while not seen or "LOCK TABLE predictq.holds" not in seen[min(place, len(seen)) - 1]:
            place += 1
            seen.clear()
            with suppress(HoldsChanged, PeriodsChanged):
                let_go(engine)
            assert count_rows(engine)["jobs"] == 2, seen[place - 1]
            assert len(seen) >= place, "the run never came to its lock"
            _as_before(engine)
    finally:
        event.remove(upkeep, "before_cursor_execute", commit_rule)
    assert place > 10
    let_go(engine)
    assert count_rows(engine)["jobs"] == 0


def _as_before(engine: Engine) -> None:
    with transaction(engine) as connection:
        for hold in list_holds(connection):
            release_hold(connection, hold.id)
        set_floor(connection, "6 months")
        set_period(connection, "13 months")
        set_period(connection, None, model="default")


def test_a_hold_with_a_lower_number_that_is_committed_later_is_seen(engine: Engine, stored: Stored) -> None:
    """Numbers are drawn in another order than holds are committed in: the run stops for each one that is new to it."""
    with engine.connect() as first:
        lower = add_hold(first, reason="r", actor="ann", client_key="1")
        with transaction(engine) as connection:
            higher = add_hold(connection, reason="r", actor="bob", client_key="999")
        assert lower.id < higher.id
        with pytest.raises(HoldsChanged):
            let_go(engine, before_going=lambda *_: first.commit())
    let_go(engine)
    assert count_rows(engine)["jobs"] == 2


@pytest.mark.parametrize("rule", [name for name in _RULES if name != "floor"])
def test_a_rule_that_is_about_to_be_committed_holds_off_the_deletion(engine: Engine, stored: Stored, rule: str) -> None:
    """A step does not overtake somebody who has said what must stay, and waits for the commit."""
    with engine.connect() as other:
        _RULES[rule](other, stored)
        with pytest.raises(DatabaseBlocked):
            let_go(engine)
        other.commit()
    assert count_rows(engine)["jobs"] == 2


def test_a_raised_floor_holds_off_the_deletion(engine: Engine, stored: Stored) -> None:
    """The floor is a rule like the others."""
    with engine.connect() as other:
        set_floor(other, "12 months")
        with pytest.raises(DatabaseBlocked):
            let_go(engine)
    assert count_rows(engine)["jobs"] == len(stored.job_ids)


def test_a_rule_that_lets_more_go_does_not_stop_a_run(engine: Engine, stored: Stored) -> None:
    """A hold that is released, a period that is shortened and a new model are for the next run."""
    with transaction(engine) as connection:
        hold = add_hold(connection, reason="r", actor="ann", client_key="999")

    def let_more_go(*_: object) -> None:
        with transaction(engine) as connection:
            if list_holds(connection):
                release_hold(connection, hold.id)
            set_period(connection, "7 months")
        add_version(engine, "another")

    let_go(engine, before_going=let_more_go)
    assert count_rows(engine)["jobs"] == 0
    with transaction(engine) as connection:
        assert read_policy(connection).keep_for == "7 months"
    assert stored.job_ids
