"""All duties of the upkeep process, in the order in which they are done. A new one is added here."""

from __future__ import annotations

from shared.config import Settings
from worker.erasure.duties import CompactionDuty, ErasureDuty
from worker.upkeep.deadlines import Deadlines
from worker.upkeep.duty import Duty
from worker.upkeep.expiry import Expiry
from worker.upkeep.partitions import PartitionClosing, PartitionsAhead
from worker.upkeep.retention import AskedRetention, Retention
from worker.upkeep.samples import Samples


def make_duties(settings: Settings) -> list[Duty]:
    """The duties, as these settings want them."""
    return [
        PartitionsAhead(),
        PartitionClosing(settings.partition_bytes),
        Samples(),
        Deadlines(),
        AskedRetention(),
        Expiry(),
        Retention(),
        ErasureDuty(settings.erasure_directory),
        CompactionDuty(),
    ]
