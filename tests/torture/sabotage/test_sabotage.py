"""Each sabotage finds what it takes away; one that does not says so."""

from __future__ import annotations

import contextlib
from collections.abc import Callable
from typing import Any

import psycopg2
import pytest
from sqlalchemy import make_url

from tests.torture import faults
from tests.torture.sabotage.proofs import PROOFS
from tests.torture.sabotage.protections import SWITCHES, check_switches
from tests.torture.sabotage.statements import changed, changes, drops_primary_key


@pytest.fixture
def query(make_database: Callable[..., str]) -> Callable[..., list[tuple[Any, ...]]]:
    """Runs statements in a fresh database."""
    url = make_url(make_database())
    dsn = f"host={url.host} port={url.port} user={url.username} password={url.password} dbname={url.database}"

    def run(statement: str, parameters: Any = ()) -> list[tuple[Any, ...]]:
        with contextlib.closing(psycopg2.connect(dsn)) as session, session, session.cursor() as cursor:
            cursor.execute(statement, parameters or None)
            return cursor.fetchall() if cursor.description else []

    return run


def test_every_piece_of_code_is_where_the_sabotage_looks() -> None:
    """All switches can be thrown in one process of the product as it is now."""
    check_switches(list(SWITCHES))


@pytest.mark.parametrize("name", [name for name, switch in SWITCHES.items() if switch.database])
def test_every_piece_of_sql_is_where_the_sabotage_looks(name: str, query: Callable[..., list[tuple[Any, ...]]]) -> None:
    """The schema as it is now has what the switch takes away."""
    for change in SWITCHES[name].database:
        change(query)


def test_a_piece_that_is_gone_is_named(query: Callable[..., list[tuple[Any, ...]]]) -> None:
    """A sabotage that would take nothing away is an error, not a proof."""
    with pytest.raises(LookupError, match="0 times"):
        changed("SELECT 1", "FOR UPDATE", "")
    with pytest.raises(LookupError, match="0 times"):
        changes("finish", "no such words", "")(query)
    with pytest.raises(LookupError, match="0 functions"):
        changes("no_such_function", "words", "")(query)
    with pytest.raises(LookupError, match="no primary key"):
        drops_primary_key("key_hashes")(query)
    with pytest.raises(LookupError, match="no-such-switch"):
        check_switches(["no-such-switch"])


def test_every_protection_is_proven_by_a_fault_that_there_is() -> None:
    """Each switch is the protection of a proof or the mistake in one, and each proof has its fault."""
    used = {proof.protection for proof in PROOFS} | {name for proof in PROOFS for name in proof.mistake}
    assert used == SWITCHES.keys()
    assert {proof.fault for proof in PROOFS} <= faults.ALL.keys()
