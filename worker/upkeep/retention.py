"""Retention as duties: once a day, and whenever somebody asked for it."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from sqlalchemy import Engine

from shared.audit.writing import record_act
from shared.errors import PredictqError
from shared.postgres.engine import transaction
from shared.postgres.outages import reason
from shared.postgres.turns import Turn, try_turn
from shared.retention.asked_runs import end_run, take_run
from shared.retention.page_deletion import BeforeGoing
from shared.retention.report import Report
from shared.retention.rules.errors import ClocksDisagree, RetentionBusy
from shared.retention.run import SETTLE_SECONDS, run_retention
from shared.sentences import count_of
from worker.upkeep.duty import Clock
from worker.upkeep.export import Exporter, run_directory
from worker.upkeep.rewriting import PageRewriter

_MOST_APART = timedelta(days=1)


@dataclass(frozen=True, slots=True)
class Retention:
    """Lets go what is due, once a day; where there is a directory for exports, what goes is written there first."""

    export_directory: Path | None = None
    settle_seconds: float = SETTLE_SECONDS
    name: str = "retention"
    every_seconds: float = 86_400

    def run(self, engine: Engine, clock: Clock) -> str:
        """Run, and say what went. Raises ClocksDisagree and what `carry_out` raises."""
        _require_agreeing_clocks(clock())
        report = carry_out(
            engine,
            clock,
            actor_kind="upkeep",
            actor="upkeep",
            before_going=_exporter(engine, clock, self.export_directory),
            settle_seconds=self.settle_seconds,
        )
        return _words(report)


@dataclass(frozen=True, slots=True)
class AskedRetention:
    """Carries out the run that a person asked for, and leaves its report where she looks for it.

    What goes is exported first as it is once a day.
    """

    export_directory: Path | None = None
    settle_seconds: float = SETTLE_SECONDS
    name: str = "retention asked for"
    every_seconds: float = 2

    def run(self, engine: Engine, clock: Clock) -> str:
        """Carry out one run, if one waits."""
        with transaction(engine) as connection:
            asked = take_run(connection)
        if asked is None:
            return ""
        try:
            _require_agreeing_clocks(clock())
            report = carry_out(
                engine,
                clock,
                actor_kind="upkeep",
                actor=asked.actor,
                before_going=_exporter(engine, clock, self.export_directory),
                settle_seconds=self.settle_seconds,
            )
        except Exception as error:
            # The text of an error that is none of ours may quote a row.
            words = str(error) if isinstance(error, PredictqError) else reason(error)
            with transaction(engine) as connection:
                end_run(connection, asked.id, {"error": words}, is_ok=False)
            raise
        with transaction(engine) as connection:
            end_run(connection, asked.id, report.to_json(), is_ok=True)
        return _words(report) or "nothing was due"


def carry_out(
    engine: Engine,
    clock: Clock,
    *,
    actor_kind: str,
    actor: str,
    before_going: BeforeGoing | None = None,
    settle_seconds: float = SETTLE_SECONDS,
) -> Report:
    """One run of retention, alone, with its line in the audit log where something went.

    Raises RetentionBusy where another process is at it, and what run_retention raises.
    """
    with try_turn(engine, Turn.RETENTION) as turn:
        if turn is None:
            raise RetentionBusy
        report = run_retention(
            engine, clock(), before_going=before_going, rewriter=PageRewriter(), settle_seconds=settle_seconds
        )
    document: dict[str, Any] = report.to_json()
    if report.models or report.partitions or report.thinned_rows:
        with transaction(engine) as connection:
            record_act(connection, actor_kind, actor, "retention.run", after=document)
    return report


def _require_agreeing_clocks(now: datetime) -> None:
    """Raise ClocksDisagree where PostgreSQL's clock is far from this process's: one that is ahead makes all due."""
    here = datetime.now(UTC)
    if abs(now - here) > _MOST_APART:
        raise ClocksDisagree(now, here)


def _exporter(engine: Engine, clock: Clock, parent: Path | None) -> Exporter | None:
    return None if parent is None else Exporter(engine, run_directory(parent, clock()))


def _words(report: Report) -> str:
    if not report.models and not report.partitions and not report.thinned_rows:
        return ""
    document = report.to_json()
    words = f"{count_of(document['answers'], 'answer')} of {count_of(document['jobs'], 'job')} went, "
    words += count_of(len(report.partitions), "partition")
    return f"{words}, {count_of(report.thinned_rows, 'row')} of pages that are held" if report.thinned_rows else words
