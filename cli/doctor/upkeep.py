"""What `predictq doctor` says of the upkeep: did it run, are there partitions ahead, is there room on the disk."""

from __future__ import annotations

from collections.abc import Iterator

from sqlalchemy import Engine

from cli.commands.stored.retention import size_text
from cli.doctor.finding import Finding
from shared.postgres.engine import transaction
from shared.storage.disk import Disk, read_disk
from shared.storage.upkeep_state import UpkeepState, read_upkeep_state
from shared.storage.usage import read_lately
from shared.watching.upkeep import upkeep_troubles, words_of_upkeep

RUN = "predictq upkeep"
_LEAST_DAYS = 14.0  # of partitions ahead


def examine_upkeep(engine: Engine, disk_bytes: int) -> Iterator[Finding]:
    """All findings about the upkeep."""
    with transaction(engine) as connection:
        state = read_upkeep_state(connection)
        disk = read_disk(connection, read_lately(connection), disk_bytes)
    yield examine_runs(state)
    yield examine_partitions(state)
    yield examine_disk(disk)


def examine_runs(state: UpkeepState) -> Finding:
    """Whether the upkeep process is at work, and each of its duties in time and without failures."""
    troubles = upkeep_troubles(state.duties)
    if troubles is None:
        return Finding("upkeep", ok=True, detail="at work")
    detail, advice = words_of_upkeep(troubles)
    return Finding("upkeep", ok=False, detail=detail, advice=advice)


def examine_partitions(state: UpkeepState) -> Finding:
    """Whether there are partitions for two weeks."""
    weeks = state.batch_weeks_ahead
    detail = f"jobs for {state.job_days_ahead:.0f} days, batches for {state.batch_ranges_ahead} ranges"
    if weeks is not None:
        detail += f" ({weeks:.1f} weeks)"
    short = state.job_days_ahead < _LEAST_DAYS or state.batch_ranges_ahead == 0 or (weeks is not None and weeks < 2)
    if short:
        return Finding("partitions", ok=False, detail=f"{detail}: without one nothing is accepted", advice=RUN)
    return Finding("partitions", ok=True, detail=detail)


def examine_disk(disk: Disk) -> Finding:
    """Whether there is room on the disk, and it lasts for a month at the present rate."""
    growth = f"{size_text(disk.bytes_per_day)} more each day"
    if disk.free_bytes is None:
        return Finding("disk", ok=True, detail=f"{growth}; its size is not known (set PREDICTQ_DISK_BYTES)")
    detail = f"{size_text(disk.free_bytes)} free, {growth}"
    if not disk.needs_person:
        return Finding("disk", ok=True, detail=detail)
    detail += ": full, or nearly" if disk.is_low else f": full in {disk.days_left:.0f} days"
    advice = 'make room, or keep answers for less: predictq retention set "13 months"'
    return Finding("disk", ok=False, detail=detail, advice=advice)
