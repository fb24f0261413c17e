"""All duties of the upkeep process, in the order in which they are done. A new one is added here.

Those that are due every second or minute and soon done do not wait for those that may take minutes.
"""

from __future__ import annotations

from shared.config import Settings
from worker.erasure.duties import CompactionDuty, ErasureDuty
from worker.upkeep.deadlines import Deadlines
from worker.upkeep.duty import Duty
from worker.upkeep.expiry import Expiry
from worker.upkeep.partitions import PartitionClosing, PartitionsAhead
from worker.upkeep.retention import AskedRetention, Retention
from worker.upkeep.samples import Samples


def prompt_duties() -> list[Duty]:
    """The short ones."""
    return [Samples(), Deadlines()]


def long_duties(settings: Settings) -> list[Duty]:
    """The others, as these settings want them."""
    return [
        PartitionsAhead(),
        PartitionClosing(settings.partition_bytes),
        AskedRetention(settings.retention_export_directory),
        Expiry(),
        Retention(settings.retention_export_directory),
        ErasureDuty(settings.erasure_directory),
        CompactionDuty(),
    ]
