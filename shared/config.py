"""The settings of a process: read once from the environment, frozen, and refused when unsafe."""

from __future__ import annotations

from enum import StrEnum
from pathlib import Path
from typing import Self

from pydantic import Field, SecretStr, ValidationError, field_validator, model_validator
from pydantic_settings import SettingsConfigDict

from shared.addresses import postgres_address, redis_address
from shared.database_role import DatabaseRole
from shared.errors import PredictqError
from shared.settings.caps import CapSettings
from shared.settings.sign_in import SignInSettings
from shared.settings.wire import WireSettings


class SettingsRefused(PredictqError):
    """The environment does not make usable settings."""


class Environment(StrEnum):
    """How strict the settings are checked."""

    DEVELOPMENT = "development"  # one person's machine
    PRODUCTION = "production"  # anything that others depend on


class Settings(WireSettings, SignInSettings, CapSettings):
    """Everything that can be tuned. Variables carry the prefix PREDICTQ_, but for the two URLs."""

    model_config = SettingsConfigDict(
        env_prefix="PREDICTQ_", frozen=True, extra="ignore", populate_by_name=True, env_ignore_empty=True
    )

    database_url: SecretStr = Field(
        validation_alias="DATABASE_URL",
        description="Where PostgreSQL is, as postgresql://user:password@host:port/database.",
    )
    redis_url: SecretStr = Field(
        validation_alias="REDIS_URL",
        description="Where Redis is, as redis://:password@host:port/0, or rediss:// for TLS.",
    )
    gateway_database_url: SecretStr | None = Field(
        None, description="The same address with the database role of the gateway; empty: DATABASE_URL, as it is."
    )
    worker_database_url: SecretStr | None = Field(
        None, description="The same with the role of workers, which also reads the sources that are in this database."
    )
    upkeep_database_url: SecretStr | None = Field(
        None, description="The same with the role of the upkeep process. `predictq migrate --roles` makes all three."
    )
    environment: Environment = Field(
        Environment.PRODUCTION, description="`development` allows what would be unsafe elsewhere."
    )
    log_format: str = Field("json", pattern="^(json|console)$", description="Log lines for machines or for people.")
    log_level: str = Field("INFO", pattern="^(DEBUG|INFO|WARNING|ERROR)$", description="The least level logged.")
    key_overlap_seconds: float = Field(
        86_400, ge=0, description="How long the old API key goes on beside the new one when a key is rotated."
    )
    metrics_open: bool = Field(
        False, description="Show /metrics, /docs and /openapi.json to everybody, and not to holders of keys alone."
    )
    api_hosts: str = Field(
        "", description="Names of its host under which the API is called, with commas between; empty: any."
    )
    auth_disabled: bool = Field(False, description="Accept calls without a key, as owner `anonymous`.")

    linger_ms: float = Field(
        10.0,
        ge=0,
        le=1000,
        description="The longest that the intake waits for company while workers keep up; five times that, if not.",
    )
    max_group: int = Field(512, ge=1, le=10_000, description="The most single jobs that share one commit and batch.")
    bulk_batch_rows: int = Field(10_000, ge=1, le=100_000, description="Rows per batch of a bulk job.")
    max_waiting_rows: int = Field(
        20_000_000, ge=1, description="Rows waiting to be scored above which new work is answered 503."
    )
    owner_max_waiting_rows: int = Field(
        10_000_000,
        ge=1,
        description="The same for one owner, answered 429, where its key names no quota of its own.",
    )
    max_job_rows: int = Field(100_000_000, ge=1, description="Rows that one job by filter or of all clients may have.")
    plan_spool_bytes: int = Field(
        256 * 1024 * 1024,
        ge=1024 * 1024,
        description="Disk for keys that a planner has read and cannot write yet, in the directory for temporary files.",
    )
    model_memory_bytes: int = Field(
        512 * 1024 * 1024,
        ge=1,
        description="Memory of one pool process for the models that it keeps loaded; the least used leave first.",
    )
    max_file_bytes: int = Field(
        256_000_000,
        ge=1_000_000,
        description="Bytes of a file that a worker opens: a model, or a table that is no text.",
    )
    max_upload_rows: int = Field(10_000_000, ge=1, description="Rows that one upload may hold.")
    max_json_ids: int = Field(100_000, ge=1, description="Ids that one JSON body may hold; more go as an upload.")
    failed_keys_per_minute: int = Field(
        60,
        ge=1,
        description="Calls with a wrong key, session or link that one address may make in a minute, and at once.",
    )
    max_filter_values: int = Field(10_000, ge=1, description="Values that one filter may compare with, in all.")
    max_listed_jobs: int = Field(1000, ge=1, le=1000, description="Jobs that one list may give at a time.")
    api_pool_size: int = Field(10, ge=5, le=100, description="PostgreSQL connections of one gateway process.")
    root_path: str = Field(
        "",
        pattern=r"^(/[A-Za-z0-9._~-]+)*$",
        description="The path under which a proxy shows the gateway, as /predictq; empty: at the root of its host.",
    )
    allowed_hosts: str = Field(
        "localhost,127.0.0.1,[::1]",
        description="Names of its host under which browsers are shown pages, with commas between; * allows any.",
    )
    stall_seconds: float = Field(
        60, ge=1, description="How long rows may wait, while none is answered, before /health says so."
    )
    late_interactive_seconds: float = Field(
        60, ge=1, description="How long a single prediction may wait before it counts as something that needs a person."
    )
    late_bulk_seconds: float = Field(
        600, ge=1, description="The same of a batch of a bulk job, and of a selection that is to be planned."
    )

    lease_seconds: float = Field(
        10, ge=1, le=3600, description="How long a claim lasts without a heartbeat; renewed at a third of it."
    )
    batch_timeout_seconds: float = Field(
        60,
        ge=1,
        le=3000,
        description="Scoring time after which a batch counts as hung and its process is ended.",
    )
    max_attempts: int = Field(
        3,
        ge=2,
        le=20,
        description="At this attempt the rows are scored in a process apart, to find the poisonous.",
    )
    patience_seconds: float = Field(
        3600,
        ge=1,
        description="How long rows wait for a source that is away, or for a worker that can load their model.",
    )
    seal_keys: Path | None = Field(
        None,
        description="A public key of seals, or a folder of them (NAME.pub): a model's file that none has sealed is "
        "neither opened nor served; empty: no seal is asked for.",
    )
    sweep_seconds: float = Field(2, ge=0.1, le=60, description="Pause between two rounds of the sweeper.")
    dispatch_grace_seconds: float = Field(
        4, ge=0.1, le=600, description="How long a fresh batch may wait before the sweeper looks after it."
    )
    partition_bytes: int = Field(
        256 * 2**20, ge=2**20, description="Size from which the upkeep closes the open partition of batches."
    )
    disk_bytes: int = Field(
        0, ge=0, description="Bytes that PostgreSQL's data may take; 0: as many as its disk has, where it can be seen."
    )
    erasure_directory: Path | None = Field(
        None,
        description="Where the upkeep process keeps hashes of erased clients, outside the database; empty: nowhere.",
    )
    retention_export_directory: Path | None = Field(
        None,
        description="Where the upkeep process writes what retention lets go, before it goes; empty: it is not written.",
    )
    flower: bool = Field(
        False, description="Let Flower ask workers how they are. Of remote control nothing else is ever obeyed."
    )
    worker_metrics_host: str = Field(
        "127.0.0.1", description="Address on which a worker serves its Prometheus metrics, which ask for no key."
    )
    worker_metrics_port: int = Field(0, ge=0, le=65535, description="Prometheus port of a worker; 0 takes a free one.")

    @property
    def is_development(self) -> bool:
        """Whether this is one person's machine."""
        return self.environment is Environment.DEVELOPMENT

    @property
    def host_names(self) -> frozenset[str]:
        """The allowed hosts, one by one, in lower case."""
        return _names_in(self.allowed_hosts)

    @property
    def api_host_names(self) -> frozenset[str]:
        """The hosts that the API is called by, one by one, in lower case; empty: any."""
        return _names_in(self.api_hosts)

    def address_of(self, role: DatabaseRole) -> SecretStr | None:
        """The address of PostgreSQL under a service's own database role; None where it has none."""
        named: SecretStr | None = getattr(self, f"{role.value}_database_url")
        return named

    def as_role(self, role: DatabaseRole) -> Self:
        """The settings of a service: its own address of PostgreSQL is the only one."""
        own = self.address_of(role) or self.database_url
        others = {f"{other.value}_database_url": None for other in DatabaseRole}
        return self.model_copy(update={"database_url": own, **others})

    @field_validator("database_url", "gateway_database_url", "worker_database_url", "upkeep_database_url")
    @classmethod
    def _read_database_url(cls, given: SecretStr | None) -> SecretStr | None:
        return None if given is None else SecretStr(postgres_address(given.get_secret_value()))

    @field_validator("redis_url")
    @classmethod
    def _read_redis_url(cls, given: SecretStr) -> SecretStr:
        return SecretStr(redis_address(given.get_secret_value()))

    @model_validator(mode="after")
    def _refuse_unsafe(self) -> Self:
        if self.environment is Environment.PRODUCTION and self.auth_disabled:
            raise ValueError("PREDICTQ_AUTH_DISABLED is for PREDICTQ_ENVIRONMENT=development only")
        if self.oidc_issuer.startswith("http:") and not self.is_development:
            raise ValueError("PREDICTQ_OIDC_ISSUER must begin with https://")
        if self.batch_timeout_seconds < self.lease_seconds / 3:
            raise ValueError("PREDICTQ_BATCH_TIMEOUT_SECONDS must be longer than a third of the lease")
        return self


def _names_in(text: str) -> frozenset[str]:
    return frozenset(name.strip().lower() for name in text.split(",") if name.strip())


def load_settings(**overrides: object) -> Settings:
    """Settings from the environment; `overrides` win.

    Raises:
        SettingsRefused: a variable is missing or wrong; the text names it and says what it must be.

    """
    try:
        return Settings(**overrides)  # type: ignore[arg-type]  # pydantic checks the values
    except ValidationError as error:
        raise SettingsRefused("; ".join(_explain(item["loc"], item["msg"]) for item in error.errors())) from None


def _explain(location: tuple[int | str, ...], message: str) -> str:
    message = message.removeprefix("Value error, ")
    if not location:
        return message
    name = str(location[0])
    is_address = name.upper().endswith(("DATABASE_URL", "REDIS_URL"))
    variable = name.upper() if name.upper() in ("DATABASE_URL", "REDIS_URL") else f"PREDICTQ_{name.upper()}"
    if message == "Field required":
        return f"{variable}: is not set"
    return f"{variable} {message}" if is_address else f"{variable}: {message}"
