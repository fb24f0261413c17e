"""The settings of the identity provider whose people and tokens count."""

from __future__ import annotations

from typing import Self

from pydantic import Field, SecretStr, model_validator
from pydantic_settings import BaseSettings


class SignInSettings(BaseSettings):
    """Part of `Settings`. Without `oidc_issuer` there is no provider, and keys and links are the only ways in."""

    oidc_issuer: str = Field(
        "",
        pattern=r"^(https?://[!-~]+)?$",
        description="The identity provider whose tokens count, as https://login.example.org; empty: none.",
    )
    oidc_audience: str = Field("", description="What a token must name as its audience: this service, to the provider.")
    oidc_client_id: str = Field(
        "",
        pattern=r"^[ -~]*$",
        description="What the provider knows the screens as: people then sign in by it; empty: by keys and links.",
    )
    oidc_client_secret: SecretStr | None = Field(
        None, description="The secret that goes with it, for the gateway alone; empty: the provider asks for none."
    )
    oidc_scopes: str = Field(
        "openid profile",
        pattern=r"^openid( [!-~]+)*$",
        description="What the screens ask the provider for, with spaces between: some give groups for a scope alone.",
    )
    oidc_algorithms: str = Field(
        "RS256,ES256",
        pattern=r"^(RS|PS|ES)(256|384|512)(,(RS|PS|ES)(256|384|512))*$",
        description="How a token may be signed, with commas between.",
    )
    oidc_groups_claim: str = Field(
        "groups", min_length=1, description="Where a token says who is in which group; with dots for what lies deeper."
    )
    oidc_groups: str = Field(
        "", description="What members of a group may do, as JSON: a list of {group, owner, roles, models}."
    )
    oidc_clock_skew_seconds: float = Field(
        60, ge=0, le=600, description="How far the clock of the identity provider may be from this one."
    )

    @model_validator(mode="after")
    def _refuse_half_a_provider(self) -> Self:
        if self.oidc_issuer and not self.oidc_audience:
            raise ValueError("PREDICTQ_OIDC_AUDIENCE must be set: else a token for any other service would count")
        if self.oidc_client_id and not self.oidc_issuer:
            raise ValueError("PREDICTQ_OIDC_ISSUER must be set where PREDICTQ_OIDC_CLIENT_ID is")
        return self
