"""The settings of single sign-on, read into what the checks need."""

from __future__ import annotations

from dataclasses import dataclass

from pydantic import SecretStr

from api.access.oidc.groups import GroupRights, read_groups
from shared.config import Settings


@dataclass(frozen=True, slots=True)
class OidcSettings:
    """An identity provider, and what is asked of its tokens."""

    issuer: str
    audience: str
    algorithms: tuple[str, ...]
    groups_claim: str
    groups: tuple[GroupRights, ...]
    clock_skew_seconds: float
    allows_http: bool  # in development alone
    client_id: str = ""  # of the screens; empty: nobody signs in there by the provider
    client_secret: SecretStr | None = None
    scopes: str = "openid profile"


def oidc_settings(settings: Settings) -> OidcSettings | None:
    """What the settings say; None where no provider is named. Raises SettingsRefused."""
    if not settings.oidc_issuer:
        return None
    return OidcSettings(
        settings.oidc_issuer.rstrip("/"),
        settings.oidc_audience,
        tuple(name.strip() for name in settings.oidc_algorithms.split(",")),
        settings.oidc_groups_claim,
        read_groups(settings.oidc_groups),
        settings.oidc_clock_skew_seconds,
        settings.is_development,
        settings.oidc_client_id,
        settings.oidc_client_secret,
        settings.oidc_scopes,
    )
