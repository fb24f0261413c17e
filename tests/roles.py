"""Services in tests run under their own database roles, as in production; the owner prepares, and looks."""

from __future__ import annotations

from typing import Any

from sqlalchemy import Engine, event, make_url

from devstack.servers.cluster import role_password
from shared.config import Environment, Settings
from shared.database_role import DatabaseRole
from shared.postgres.engine import make_engine
from sql.roles import make_roles, open_tables


def service_settings(database_url: str, redis_url: str, **changes: Any) -> Settings:
    """Settings in which each service has the address of its own role beside the owner's."""
    own = {f"{role.value}_database_url": address_of(database_url, role) for role in DatabaseRole}
    given = {"database_url": database_url, "redis_url": redis_url, "environment": Environment.DEVELOPMENT}
    return Settings.model_validate({**given, **own, **changes})


def address_of(database_url: str, role: DatabaseRole) -> str:
    """The address of a service's role, of the owner's, as test servers make it."""
    url = make_url(database_url)
    password = role_password(str(url.password), role)
    return url.set(username=role.default_name, password=password).render_as_string(hide_password=False)


def give_roles(engine: Engine) -> None:
    """Make the roles of `service_settings` on a server of a test's own, whose database is migrated."""
    url = engine.url.render_as_string(hide_password=False)
    make_roles(engine, {role: address_of(url, role) for role in DatabaseRole})
    open_tables(engine)


def settings_of(role: DatabaseRole, settings: Settings) -> Settings:
    """The settings that a service runs by.

    Raises:
        AssertionError: it would run as the database's owner, who may everything: no missing right would be seen.

    """
    assert settings.address_of(role), f"the {role.value} would run as the database's owner: see service_settings"
    return settings.as_role(role)


def as_role(engine: Engine, role: DatabaseRole) -> Engine:
    """An engine on the same database under the role of a service; it ends with that of the owner."""
    if engine.url.username == role.default_name:
        return engine
    if (engine, role) not in _role_engines:
        url = address_of(engine.url.render_as_string(hide_password=False), role)
        settings = Settings(database_url=url, redis_url="redis://nowhere")
        own = _role_engines[engine, role] = make_engine(settings, application_name=role.value, pool_size=10)
        event.listen(engine, "engine_disposed", lambda _: own.dispose())
    return _role_engines[engine, role]


def as_upkeep(engine: Engine) -> Engine:
    """The same for the upkeep process."""
    return as_role(engine, DatabaseRole.UPKEEP)


def as_worker(engine: Engine) -> Engine:
    """The same for a worker."""
    return as_role(engine, DatabaseRole.WORKER)


_role_engines: dict[tuple[Engine, DatabaseRole], Engine] = {}
