"""The database tables as SQLAlchemy knows them. A test holds them against the migrated schema.

Triggers, checks and views live in the migrations alone: the database referees, this module only names.
"""

from __future__ import annotations

from typing import Any

from sqlalchemy import (
    BigInteger,
    Boolean,
    Column,
    DateTime,
    Double,
    ForeignKey,
    Identity,
    Index,
    Integer,
    LargeBinary,
    MetaData,
    SmallInteger,
    Table,
    Text,
    UniqueConstraint,
    text,
)
from sqlalchemy.dialects.postgresql import JSONB, UUID
from sqlalchemy.types import TypeEngine

from shared.models.signature import FeatureKind
from shared.sources.sample_features import CLIENT_FEATURES

SCHEMA_REVISION = "0003"  # the migration that this code needs; a test holds it against sql/versions
REQUESTS_PER_BATCH = 100_000  # request ids of batch b are b × 100,000 + 0, 1, 2 …

metadata = MetaData()

_TYPES: dict[FeatureKind, type[TypeEngine[Any]]] = {
    FeatureKind.INTEGER: Integer,
    FeatureKind.NUMBER: Double,
    FeatureKind.BOOLEAN: Boolean,
    FeatureKind.CATEGORY: Text,
}


def _feature_columns() -> list[Column[Any]]:
    return [Column(feature.name, _TYPES[feature.kind]) for feature in CLIENT_FEATURES]


def _time(name: str, *, now: bool = True, nullable: bool = False) -> Column[Any]:
    return Column(name, DateTime(timezone=True), nullable=nullable, server_default=text("now()") if now else None)


def _count(name: str, default: int | None = 0) -> Column[Any]:
    return Column(name, Integer, nullable=False, server_default=None if default is None else text(str(default)))


clients = Table(
    "clients",
    metadata,
    Column("client_id", BigInteger, primary_key=True, autoincrement=False),
    _count("version", 1),
    _time("updated_at"),
    *_feature_columns(),
)

clients_history = Table(
    "clients_history",
    metadata,
    Column("client_id", BigInteger, primary_key=True, autoincrement=False),
    Column("version", Integer, primary_key=True, autoincrement=False),
    _time("updated_at", now=False),
    *_feature_columns(),
    _time("replaced_at"),
    Column("operation", Text, nullable=False),
)

model_versions = Table(
    "model_versions",
    metadata,
    Column("version", Integer, Identity(always=True), primary_key=True),
    Column("name", Text, nullable=False),
    Column("sha256", Text, nullable=False),
    Column("signature", JSONB, nullable=False),
    Column("threshold", Double, nullable=False),
    Column("metadata", JSONB, nullable=False),
    Column("artefact", LargeBinary, nullable=False),
    _time("created_at"),
    _time("promoted_at", now=False, nullable=True),
    Column("is_live", Boolean, nullable=False, server_default=text("false")),
    Index("model_versions_one_live", "is_live", unique=True, postgresql_where=text("is_live")),
)

api_keys = Table(
    "api_keys",
    metadata,
    Column("id", Integer, Identity(always=True), primary_key=True),
    Column("owner", Text, nullable=False),
    Column("prefix", Text, nullable=False),
    Column("key_hash", Text, nullable=False),
    Column("is_admin", Boolean, nullable=False, server_default=text("false")),
    Column("max_waiting_rows", BigInteger),
    _time("created_at"),
    _time("revoked_at", now=False, nullable=True),
    UniqueConstraint("key_hash", name="api_keys_key_hash_key"),
)

jobs = Table(
    "jobs",
    metadata,
    Column("id", UUID, primary_key=True),
    Column("kind", Text, nullable=False),
    Column("owner", Text, nullable=False),
    Column("model_version", Integer, ForeignKey("model_versions.version"), nullable=False),
    Column("request_count", BigInteger, nullable=False),
    Column("request_id", BigInteger),
    Column("idempotency_key", Text),
    Column("payload_hash", Text),
    _time("created_at"),
    _time("cancelled_at", now=False, nullable=True),
)
Index("jobs_owner_newest", jobs.c.owner, jobs.c.id.desc())
Index(
    "jobs_idempotency",
    jobs.c.owner,
    jobs.c.idempotency_key,
    unique=True,
    postgresql_where=text("idempotency_key IS NOT NULL"),
)

prediction_batches = Table(
    "prediction_batches",
    metadata,
    Column("id", BigInteger, Identity(always=False), primary_key=True),
    Column("job_id", UUID, ForeignKey("jobs.id")),
    Column("queue", Text, nullable=False),
    Column("model_version", Integer, ForeignKey("model_versions.version"), nullable=False),
    _count("request_count", None),
    Column("status", Text, nullable=False, server_default=text("'queued'")),
    _count("fence"),
    _count("attempts"),
    _time("lease_until", now=False, nullable=True),
    Column("worker", Text),
    Column("last_error", Text),
    _count("dispatches"),
    _time("dispatch_after"),
    _count("succeeded"),
    _count("failed"),
    _count("cancelled"),
    _time("created_at"),
    _time("claimed_at", now=False, nullable=True),
    _time("finished_at", now=False, nullable=True),
    Index("prediction_batches_job", "job_id", "id", postgresql_where=text("job_id IS NOT NULL")),
    Index(
        "prediction_batches_waiting",
        "queue",
        "status",
        "id",
        postgresql_where=text("status IN ('queued', 'running')"),
    ),
)

prediction_requests = Table(
    "prediction_requests",
    metadata,
    Column("request_id", BigInteger, primary_key=True, autoincrement=False),
    Column("job_id", UUID, nullable=False),
    Column("client_id", BigInteger),
    Column("features", JSONB),
    _time("created_at"),
)

prediction_outputs = Table(
    "prediction_outputs",
    metadata,
    Column("request_id", BigInteger, primary_key=True, autoincrement=False),
    Column("probability", Double),
    Column("label", SmallInteger),
    Column("threshold", Double),
    Column("model_version", Integer, nullable=False),
    Column("client_version", Integer),
    Column("error_code", Text),
    Column("error_detail", Text),
    Column("fence", Integer, nullable=False),
    _time("created_at"),
)
