"""What can be wrong with a rule of retention or a hold, by name."""

from __future__ import annotations

from datetime import datetime
from pathlib import Path

from shared.errors import PredictqError


class RetentionError(PredictqError):
    """Base of every error about retention and holds."""


class PeriodRefused(RetentionError):
    """A text that names no period."""

    def __init__(self, text: str) -> None:
        super().__init__(f"{text[:80]!r} is no period. Write for example 13 months, 2 years or 400 days, or: for ever.")


class BelowFloor(RetentionError):
    """Answers would be kept for less than they must."""

    def __init__(self, asked: str, floor: str, most_days: int) -> None:
        """`most_days` are the days that the floor may have: six months are up to 184."""
        days = "" if floor == f"{most_days} days" else f", which may be {most_days} days"
        super().__init__(
            f"{asked} is below the floor: answers are kept for at least {floor}{days}. (The AI Act asks for logs of "
            "six months at least for high-risk systems.) Choose a longer period, or lower the floor first."
        )


class FloorRefused(RetentionError):
    """A floor below the life of an idempotency key, or above a period that is set."""

    def __init__(self, detail: str) -> None:
        super().__init__(detail)


class HoldUnknown(RetentionError):
    """No hold has this number, or it was released."""

    def __init__(self, hold_id: int | str) -> None:
        super().__init__(f"There is no hold {hold_id}. List them with: predictq holds list")


class HoldRefused(RetentionError):
    """A hold names nothing that can be held."""


class RunUnknown(RetentionError):
    """No run of retention has this id."""

    def __init__(self, run_id: object) -> None:
        super().__init__(f"There is no retention run {run_id}.")


class DoesNotAddUp(RetentionError):
    """Jobs and pages that should go together do not have the same rows. Nothing of them went."""

    def __init__(self, jobs: object, pages: object) -> None:
        super().__init__(
            f"Retention stopped: the jobs that are due count {jobs} and their pages {pages}. Nothing went. Keep the "
            "database as it is, and report this."
        )


class HoldsChanged(RetentionError):
    """A hold was added while retention ran. What it had not taken yet stays for the next run."""

    def __init__(self) -> None:
        super().__init__("A hold was added while retention ran, so it stopped. Run it again.")


class PeriodsChanged(RetentionError):
    """Answers must be kept for longer than when this run began. What it had not taken yet stays for the next run."""

    def __init__(self) -> None:
        super().__init__("A period was lengthened while retention ran, so it stopped. Run it again.")


class RetentionBusy(RetentionError):
    """Another process runs retention now."""

    def __init__(self) -> None:
        super().__init__("Retention is running already. Try again when it has ended.")


class ClocksDisagree(RetentionError):
    """The clock that says what is due may be wrong by more than a day."""

    def __init__(self, database: datetime, process: datetime) -> None:
        super().__init__(
            f"The clock of PostgreSQL says {database:%Y-%m-%d %H:%M} UTC, and that of the upkeep process "
            f"{process:%Y-%m-%d %H:%M}. By a clock that is ahead all may be due, so nothing goes until the two agree: "
            "put the wrong one right."
        )


class ExportFailed(RetentionError):
    """What was about to go could not be written as files. It stays."""

    def __init__(self, directory: Path, reason: str) -> None:
        super().__init__(
            f"What is due could not be written to {directory} ({reason}), so it stays. See that there is room and "
            "that this process may write there; then run retention again."
        )
