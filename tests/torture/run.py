"""One run: a cluster, a crowd of callers, faults one after the other, and the judgement."""

from __future__ import annotations

import contextlib
import random
import time
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field

import psutil
import psycopg2
from redis.exceptions import RedisError

from tests.torture import population
from tests.torture.callers import Ask, Crowd
from tests.torture.checking.checker import check
from tests.torture.checking.ledger import Event, Ledger, read
from tests.torture.checking.planted_logs import search_logs
from tests.torture.checking.violation import Violation
from tests.torture.faults.base import Fault, Missed, NotEnded, Tools
from tests.torture.machinery.cluster import Cluster, Plan, wait_for
from tests.torture.manners import check_manners
from tests.torture.watching import RowAccountingWatch, Use, check_growth, use_at_rest

SETTLE_SECONDS = 60.0  # from the last fault to the end of every accepted job
_ACCEPTED_SECONDS = 10.0  # in calm
FIRST_ANSWER_SECONDS = 15.0  # from the end of a fault to the first answer
_REPEATED = 5  # of what was promised before a fault, or during it, once it is over
_IN_TIME = "every accepted job ends in time"


@dataclass
class Outcome:
    """What one fault did. Times in seconds from the moment it was healed."""

    fault: str
    first_answer: float | None = None
    all_ended: float | None = None
    not_run: str | None = None  # why it does not count
    notes: list[str] = field(default_factory=list)
    counts: Counter[str] = field(default_factory=Counter)  # from its begin to its end, see `Tools.counts`


@dataclass
class Result:
    """All that a run has to say."""

    outcomes: list[Outcome]
    violations: list[Violation]
    events: list[Event]
    jobs: int
    rows: int
    moments: int  # at which the row accounting was found to add up, or not
    told: int  # times that a gateway told whether they do


class Run:
    """Use `running`."""

    def __init__(self, cluster: Cluster, ledger: Ledger, seed: int, settle_seconds: float, bustle: float) -> None:
        self._cluster = cluster
        self._ledger = ledger
        self._settle_seconds = settle_seconds
        self._crowd = Crowd(cluster, ledger, seed, bustle=bustle)
        self._watch = RowAccountingWatch(cluster)
        self._prober = self._crowd.new_caller(1000)
        self._limited = self._crowd.new_caller(1001, is_limited=True)
        self._rng = random.Random(seed)
        self._uses: list[Use] = []
        self._violations: list[Violation] = []
        self._cut_off: set[str] = set()
        self._kills = 0
        self.outcomes: list[Outcome] = []

    def start(self) -> None:
        """Let the crowd in, and wait until everything works."""
        self._crowd.start()
        self._watch.start()
        self._probe(30)
        self._settle()
        self._uses.append(use_at_rest(self._cluster))

    def inject(self, faults: Sequence[Fault]) -> Outcome:
        """Inject faults, each inside the one before; heal them; wait for the first answer and for all of them."""
        outcome = Outcome(" + ".join(fault.name for fault in faults))
        self.outcomes.append(outcome)
        outcome.not_run = next((obstacle for fault in faults if (obstacle := fault.obstacle())), None)
        if outcome.not_run is not None:
            return outcome
        if any(fault.cuts_callers for fault in faults):
            self._cut_off.add(outcome.fault)
        with self._noting(outcome):
            self._ask_the_linear_model()
        self._ledger.set_phase(outcome.fault, "during")
        tools = Tools(self._cluster, self._ledger, self._crowd, self._prober, self._limited, self._rng, outcome.notes)
        before = tools.counts()
        repair = time.monotonic()
        with self._noting(outcome), contextlib.ExitStack() as stack:
            with self._noting(outcome):  # what was injected is healed in good order, whatever becomes of the next
                for fault in faults:
                    stack.enter_context(fault.run(tools))
            repair = time.monotonic()  # what heals the fault counts as recovery
        self._kills += 1
        self._ledger.set_phase(outcome.fault, "after")
        self._recover(outcome, repair)
        self._verify(outcome, tools)
        outcome.counts = tools.counts()
        outcome.counts.subtract(before)
        self._ledger.set_phase("none", "quiet")
        return outcome

    @contextlib.contextmanager
    def _noting(self, outcome: Outcome) -> Iterator[None]:
        """Write down what broke, or why it does not count: in a mixture, one fault may stand in the other's way."""
        try:
            yield
        except (AssertionError, NotEnded) as broken:
            promise = _IN_TIME if isinstance(broken, NotEnded) else "what the fault is for"
            self._violations.append(Violation(promise, f"{outcome.fault}: {broken}"))
            self._cluster.undo()
        except (Missed, psycopg2.Error, RedisError, OSError, psutil.Error) as missed:
            outcome.not_run = f"missed: {type(missed).__name__}: {missed}"
            self._cluster.undo()

    def finish(self) -> Result:
        """Let everything end, and compare the ledger with what PostgreSQL holds."""
        self._crowd.stop()
        if _IN_TIME not in {violation.promise for violation in self._violations}:
            with contextlib.suppress(TimeoutError):  # the checker names what has not ended
                self._settle()
        with contextlib.suppress(psycopg2.Error):
            self._crowd.hand.settle()
        self._watch.stop()
        with contextlib.suppress(psycopg2.Error, OSError):
            self._uses.append(Use.of(self._cluster))
        self._prober.close()
        self._limited.close()
        self._ledger.close()
        events = list(read(self._ledger.path))
        self._violations += check(events, self._cluster.dsn, self._cluster.estimators)
        self._violations += check_manners(events, self._cut_off)
        self._violations += self._watch.violations
        self._violations += check_growth(self._uses, self._kills)
        self._violations += search_logs(self._cluster.logs(), self._cluster.secrets())
        jobs, rows = self._cluster.query("SELECT count(*), coalesce(sum(request_count), 0) FROM predictq.jobs")[0]
        return Result(self.outcomes, self._violations, events, jobs, int(rows), self._watch.moments, self._watch.told)

    def _ask_the_linear_model(self) -> None:
        """A little work is for the model that workers compile; some of it is open while the next fault comes."""
        cluster = self._cluster
        cluster.promote(cluster.linear)
        try:
            clients = self._rng.choices(population.ORDINARY, k=400) + self._rng.choices(population.FLEETING, k=20)
            self._prober.submit(Ask("bulk", clients), _ACCEPTED_SECONDS)
            self._prober.submit(Ask("single", [self._rng.choice(population.ORDINARY)]), _ACCEPTED_SECONDS)
        finally:
            cluster.promote(cluster.standing)

    def _verify(self, outcome: Outcome, tools: Tools) -> None:
        try:
            for verify in tools.verifications:
                verify()
        except (AssertionError, Missed) as broken:
            self._violations.append(Violation("what the fault is for", f"{outcome.fault}: {broken}"))

    def _recover(self, outcome: Outcome, repair: float) -> None:
        try:
            self._probe(self._settle_seconds)
            outcome.first_answer = time.monotonic() - repair
            for _ in range(_REPEATED):
                self._prober.repeat()
            self._settle(self._settle_seconds - outcome.first_answer)
            outcome.all_ended = time.monotonic() - repair
        except (TimeoutError, Missed) as late:
            self._violations.append(Violation(_IN_TIME, f"{outcome.fault}: {late}"))
        if outcome.first_answer is not None and outcome.first_answer > FIRST_ANSWER_SECONDS:
            words = f"{outcome.fault}: {outcome.first_answer:.1f} s"
            self._violations.append(Violation("a first answer within 15 s", words))

    def _probe(self, seconds: float) -> None:
        """Ask for one prediction and wait for its end."""
        deadline = time.monotonic() + seconds
        job_id = self._prober.submit(Ask("single", [self._rng.choice(population.ORDINARY)]), seconds)
        if job_id is None:
            raise TimeoutError("a probe was not accepted")
        wait_for(lambda: not self._open([job_id]), max(1.0, deadline - time.monotonic()), f"the end of probe {job_id}")

    def _settle(self, seconds: float | None = None) -> None:
        """Wait for the end of everything accepted until now; what is accepted meanwhile is not waited for."""
        waiting = self._ledger.accepted_jobs()
        limit = self._settle_seconds if seconds is None else max(1.0, seconds)

        def ended() -> bool:
            waiting[:] = self._open(waiting)
            return not waiting

        try:
            wait_for(ended, limit, "the end of all jobs")
        except TimeoutError:
            raise TimeoutError(f"{len(waiting)} jobs have not ended after {limit:.0f} s: {waiting[:3]}") from None

    def _open(self, job_ids: Sequence[str]) -> list[str]:
        """Which of these have not ended, or are not there."""
        try:
            ended = self._cluster.query(
                "SELECT job_id::text FROM predictq.job_status WHERE job_id = ANY(%s::uuid[]) "
                "AND status IN ('succeeded', 'failed', 'cancelled')",
                [list(job_ids)],
            )
        except psycopg2.Error:
            return list(job_ids)
        known = {row[0] for row in ended}
        return [job_id for job_id in job_ids if job_id not in known]


@contextlib.contextmanager
def running(plan: Plan, seed: int, *, settle_seconds: float = SETTLE_SECONDS, bustle: float = 1.0) -> Iterator[Run]:
    """A started run; `finish` it before the end of the block. `bustle`: see Crowd."""
    with Cluster(plan) as cluster:
        run = Run(cluster, Ledger(plan.directory / "ledger.jsonl"), seed, settle_seconds, bustle)
        run.start()
        yield run


def random_schedule(faults: Sequence[Fault], seed: int) -> Iterator[list[Fault]]:
    """Pairs and triples of faults, for ever, the same for the same seed."""
    rng = random.Random(f"{seed}-schedule")
    mixable = [fault for fault in faults if fault.mixable]
    while True:
        # Cut off, nobody can submit what other faults need: that one comes last.
        yield sorted(rng.sample(mixable, rng.choice([2, 2, 3])), key=lambda fault: fault.cuts_callers)
