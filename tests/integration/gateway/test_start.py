"""What a gateway has done before its first call."""

from __future__ import annotations

from sqlalchemy import Engine, text

from shared.config import Settings
from shared.postgres.engine import autocommit
from tests.integration.gateway.api_support import new_key, running_gateway
from tests.support import wait_until

_KINDS = {"intake", "quick", "lists", "bulk", "downloads"}


def test_a_connection_of_each_kind_is_open_before_anybody_calls(settings: Settings, engine: Engine) -> None:
    """Else the first call of a kind waits for it."""

    def opened() -> set[str]:
        query = text("""SELECT application_name FROM pg_stat_activity
                        WHERE datname = current_database() AND application_name LIKE 'predictq-api-%'""")
        with autocommit(engine) as connection:
            return {name.removeprefix("predictq-api-") for name in connection.execute(query).scalars()}

    with running_gateway(settings, new_key(engine, "alice")):
        wait_until(lambda: opened() >= _KINDS, what="connections of all kinds")
