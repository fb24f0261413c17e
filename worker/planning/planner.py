"""The planner's loop: take the next plan that there is room for, and see it through or say why not."""

from __future__ import annotations

from shared.batches.claims import Claim, claim, record_failure
from shared.batches.unloadable import waiting_requirements
from shared.errors import DatabaseUnavailable, FenceLost
from shared.jobs.planning import JobError, Selection, fail_job, give_back_plan, read_selection
from shared.logging import get_logger
from shared.messaging.messages import Notice
from shared.status import Queue
from worker.planning.failures import (
    PlanFailed,
    PlanGivenBack,
    PlanSourceAway,
    TooManyRows,
    UploadRefusedAtPlan,
    planning_failure,
)
from worker.planning.plan_run import PlanRun, Tools
from worker.sources.circuit import Circuit

log = get_logger(__name__)

_ASK_SECONDS = 1.0  # between two questions to PostgreSQL, while nobody says that there is a plan
_RETRY_SECONDS = 2.0  # pause before a plan is tried again


class Planner:
    """Plans one job after the other. Any number may run at once, on any number of machines."""

    def __init__(self, tools: Tools) -> None:
        self._tools = tools

    def run(self) -> None:
        """Plan until told to stop; the plan in hand is given back."""
        while not self._tools.stopped.is_set():
            try:
                is_busy = self.plan_next()
            except DatabaseUnavailable as error:
                log.warning("plans are left to their leases", reason=str(error))
                is_busy = False
            if not is_busy:
                self._tools.doorbell.wait(_ASK_SECONDS)

    def plan_next(self) -> bool:
        """Carry out the plan whose turn it is. Returns whether there was one, with room for its rows.

        Raises DatabaseUnavailable: a plan in hand then waits for its lease to run out.
        """
        work = self._claim()
        if work is None:
            return False
        held, selection = work
        run = PlanRun(self._tools, held, selection)
        try:
            self._refuse_to_try_for_ever(held)
            run.carry_out()
        except (FenceLost, PlanGivenBack, DatabaseUnavailable) as end:
            self._leave(held, end)
        except UploadRefusedAtPlan as refused:
            log.info("file of a job refused", batch_id=held.batch_id, job_id=str(held.job_id), code=refused.code)
            self._fail(held, refused, attempt=run.attempt)
        except Exception as error:
            log.exception("plan failed", batch_id=held.batch_id, job_id=str(held.job_id), attempt=run.attempt)
            self._fail(held, planning_failure(error), attempt=run.attempt)
        return True

    def _claim(self) -> tuple[Claim, Selection] | None:
        """The next plan that there is room for; owners take turns, and those who have none are passed over.

        Their plans wait in the queue, as they did, until the next look: that is the pause of a plan without room. An
        owner who comes for a second time says that all had their turn.
        """
        tools, without_room = self._tools, set[str]()
        lease = tools.settings.lease_seconds
        # A plan needs no model, so no worker is asked what it can load.
        every = waiting_requirements(tools.engine, Queue.PLAN)
        while every and (
            claims := claim(tools.engine, Queue.PLAN, worker=tools.worker, lease_seconds=lease, requirements=every)
        ):
            held = claims[0]
            try:
                selection = read_selection(tools.engine, held)
            except FenceLost:
                continue  # cancelled just now
            if tools.room(selection.owner) > 0:
                return held, selection
            give_back_plan(tools.engine, held)
            if selection.owner in without_room:
                break
            without_room.add(selection.owner)
        return None

    def _refuse_to_try_for_ever(self, held: Claim) -> None:
        if held.attempt > self._tools.settings.max_attempts:
            raise PlanFailed(
                JobError.PLANNING_FAILED, f"The planner ended without a word at each of {held.attempt - 1} attempts."
            )

    def _leave(self, held: Claim, end: Exception) -> None:
        """Not the plan's fault."""
        log.info("plan left", batch_id=held.batch_id, job_id=str(held.job_id), reason=str(end))
        if isinstance(end, DatabaseUnavailable):
            raise end
        if isinstance(end, PlanGivenBack):
            give_back_plan(self._tools.engine, held)

    def _fail(self, held: Claim, failure: PlanFailed, *, attempt: int) -> None:
        try:
            is_away = isinstance(failure, PlanSourceAway) and not self._is_given_up(held)
        except FenceLost as end:  # cancelled meanwhile
            self._leave(held, end)
            return
        is_final = isinstance(failure, TooManyRows | UploadRefusedAtPlan)
        if is_away or (attempt < self._tools.settings.max_attempts and not is_final):
            reason = f"{failure.code}: {failure}"
            pause = _RETRY_SECONDS
            record_failure(self._tools.engine, held, reason, retry_after_seconds=pause, is_counted=not is_away)
            return
        try:
            fail_job(self._tools.engine, held, failure.code, str(failure))
        except FenceLost as end:
            self._leave(held, end)
        else:
            self._tools.doorbell.job_changed(Notice(held.batch_id, held.job_id))

    def _is_given_up(self, held: Claim) -> bool:
        """Whether the source of a plan has been away for too long. Nobody claims its work while it is looked for."""
        tools = self._tools
        source_id = read_selection(tools.engine, held).source_id
        return source_id is None or Circuit(tools.engine, tools.settings.patience_seconds).open(source_id)
