"""Rights on some columns of a table alone: what a service may write there, and what stays as it was made."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from psycopg2.extensions import connection as PsycopgConnection  # noqa: N812

from shared.database_role import DatabaseRole
from tests.integration.schema.test_database_roles import as_service, is_refused

__all__ = ["as_service"]


@pytest.mark.parametrize("role", DatabaseRole)
def test_no_service_says_when_an_act_was(
    as_service: Callable[[DatabaseRole], PsycopgConnection], role: DatabaseRole
) -> None:
    """The server does, and in which transaction: no line can be put before others."""
    driver = as_service(role)
    line = "INSERT INTO predictq.audit_log (actor_kind, actor, action{}) VALUES ('person', 'me', 'key.create'{})"
    assert not is_refused(driver, line.format("", ""))
    assert is_refused(driver, line.format(", at", ", '2020-01-01'"))
    assert is_refused(driver, line.format(", xid", ", '1'"))


def test_a_gateway_gives_no_key_more_than_it_was_made_for(
    as_service: Callable[[DatabaseRole], PsycopgConnection],
) -> None:
    """It ends keys, and notes their use; what a key is for and whose it is stays."""
    driver = as_service(DatabaseRole.GATEWAY)
    for column in ("revoked_at", "expires_at", "rotated_to", "last_used_at"):
        assert not is_refused(driver, f"UPDATE predictq.api_keys SET {column} = NULL")
    for column in ("owner", "roles", "models", "key_hash", "prefix", "max_waiting_rows", "created_at", "note"):
        assert is_refused(driver, f"UPDATE predictq.api_keys SET {column} = {column}")
