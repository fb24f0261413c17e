"""The planner's loop: take the next plan that there is room for, and see it through or say why not."""

from __future__ import annotations

from shared.batches.claims import Claim, claim, record_failure
from shared.batches.unloadable import waiting_requirements
from shared.errors import DatabaseUnavailable, FenceLost
from shared.jobs.planning import Selection, fail_job, give_back_plan, read_selection
from shared.logging import get_logger
from shared.messaging.messages import Notice
from shared.status import JobError, Queue
from worker.planning.failures import (
    PlanFailed,
    PlanGivenBack,
    PlanSourceAway,
    PlanSourceRefuses,
    TooManyRows,
    UploadRefusedAtPlan,
    planning_failure,
)
from worker.planning.in_hand import PlansInHand
from worker.planning.plan_run import PlanRun, Tools
from worker.sources.circuit import Circuit

log = get_logger(__name__)

_ASK_SECONDS = 1.0  # between two questions to PostgreSQL, while nobody says that there is a plan
_RETRY_SECONDS = 2.0  # pause before a plan is tried again


class Planner:
    """Plans one job after the other. Any number may run at once, on any number of machines.

    Those of one process are its lanes: they share what they have `in_hand`.
    """

    def __init__(self, tools: Tools, in_hand: PlansInHand | None = None) -> None:
        self._tools = tools
        self._in_hand = in_hand or PlansInHand()

    def run(self) -> None:
        """Plan until told to stop; the plan in hand is given back."""
        while not self._tools.stopped.is_set():
            try:
                self.plan_next(patience_seconds=_ASK_SECONDS)
            except DatabaseUnavailable as error:
                log.warning("plans are left to their leases", reason=str(error))
                self._tools.doorbell.wait(_ASK_SECONDS)

    def plan_next(self, *, patience_seconds: float = 0) -> bool:
        """Carry out the plan whose turn it is. Returns whether there was one, with room for its rows.

        Where there is none, wait for so long that somebody says there is. Raises DatabaseUnavailable: a plan in hand
        then waits for its lease to run out.
        """
        with self._in_hand.seeking:
            work = None if self._tools.stopped.is_set() else self._claim()
            if work is None:
                if patience_seconds:
                    self._tools.doorbell.wait(patience_seconds)
                return False
        try:
            self._carry_out(*work)
        finally:
            if self._in_hand.leave(work[1]):
                self._tools.doorbell.plans_wait()
        return True

    def _carry_out(self, held: Claim, selection: Selection) -> None:
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

    def _claim(self) -> tuple[Claim, Selection] | None:
        """The next plan that there is room for; owners take turns.

        Passed over are those who have no room, and those whose plan another lane has in hand. Their plans wait in the
        queue, as they did, until the next look: that is the pause of a plan without room. An owner who comes for a
        second time says that all had their turn.
        """
        tools, passed_over = self._tools, set[str]()
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
            except DatabaseUnavailable:
                raise
            except Exception as error:  # what one job was asked for must not end the planning of all
                log.exception("plan not read", batch_id=held.batch_id, job_id=str(held.job_id), attempt=held.attempt)
                self._fail(held, planning_failure(error), attempt=held.attempt)
                continue
            if tools.room(selection.owner) > 0 and self._in_hand.take(selection):
                return held, selection
            give_back_plan(tools.engine, held)
            if selection.owner in passed_over:
                break
            passed_over.add(selection.owner)
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
            if isinstance(failure, PlanSourceRefuses):
                self._note_refusal(held)
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

    def _note_refusal(self, held: Claim) -> None:
        tools = self._tools
        source_id = read_selection(tools.engine, held).source_id
        if source_id is not None:
            Circuit(tools.engine, tools.settings.patience_seconds).refuse(source_id)

    def _is_given_up(self, held: Claim) -> bool:
        """Whether the source of a plan has been away for too long. Nobody claims its work while it is looked for."""
        tools = self._tools
        source_id = read_selection(tools.engine, held).source_id
        return source_id is None or Circuit(tools.engine, tools.settings.patience_seconds).open(source_id)
