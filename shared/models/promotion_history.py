"""Which version of a model went live when, and which one a rollback leads to."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import Connection, text

from shared.errors import NothingToRollBack
from shared.models.registry import ModelVersion, get_version, require_model


@dataclass(frozen=True, slots=True)
class PromotionRecord:
    """That a version went live."""

    version: int
    at: datetime
    actor: str | None
    reason: str | None


def list_promotions(connection: Connection, model: str, most: int = 50) -> list[PromotionRecord]:
    """Which version of a model went live when, the newest first."""
    rows = connection.execute(_PROMOTIONS, {"model": model, "most": most})
    return [PromotionRecord(*row) for row in rows]


_PROMOTIONS = text("""
SELECT v.version, p.at, p.actor, p.reason FROM predictq.promotions p
JOIN predictq.model_versions v ON v.id = p.model_version_id
WHERE p.model = :model ORDER BY p.id DESC LIMIT :most
""")


def last_promoters(connection: Connection, version_ids: Sequence[int]) -> dict[int, str | None]:
    """Who made each version live last; None where it is not known who. Versions that never were live are left out."""
    found = connection.execute(_LAST_PROMOTERS, {"ids": list(version_ids)})
    return {row.model_version_id: row.actor for row in found}


_LAST_PROMOTERS = text("""
SELECT DISTINCT ON (model_version_id) model_version_id, actor FROM predictq.promotions
WHERE model_version_id = ANY (CAST(:ids AS integer[])) ORDER BY model_version_id, id DESC
""")


def previous_version(connection: Connection, model: str) -> ModelVersion:
    """The version that was live before the present one. Raises ModelUnknown, and NothingToRollBack."""
    require_model(connection, model)
    version_id = connection.execute(_PREVIOUS, {"model": model}).scalar_one_or_none()
    if version_id is None:
        raise NothingToRollBack(model)
    return get_version(connection, version_id)


_PREVIOUS = text("""
SELECT p.model_version_id FROM predictq.promotions p
JOIN predictq.models m ON m.name = p.model
JOIN predictq.model_versions v ON v.id = p.model_version_id
WHERE p.model = :model AND p.model_version_id <> m.live_version_id AND v.retired_at IS NULL
  AND p.id < (SELECT max(l.id) FROM predictq.promotions l
              WHERE l.model = p.model AND l.model_version_id = m.live_version_id)
ORDER BY p.id DESC LIMIT 1
""")
