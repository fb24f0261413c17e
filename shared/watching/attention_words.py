"""What needs a person, in the words of operators: a sentence, and what to type next. Screens have their own words."""

from __future__ import annotations

from shlex import quote

from shared.messaging.redis_trouble import RedisTrouble
from shared.pauses import resume_command
from shared.sentences import count_of
from shared.watching.attention import Concern, NeedsPerson
from shared.watching.upkeep import words_of_upkeep

_ADD_WORKER = "predictq worker --concurrency 2"


def words_of(need: NeedsPerson) -> tuple[str, str]:
    """A sentence for an operator, and what to type next; screens have words of their own."""
    about = need.about
    match need.code:
        case Concern.NO_WORKER | Concern.SILENT_WORKERS:
            return _words_of_workers(need)
        case Concern.UNLOADABLE:
            wait = "waits" if about["batches"] == 1 else "wait"
            batches = count_of(about["batches"], "batch", "batches")
            detail = f"{batches} of {about['model']} {wait} for a worker that can load it"
            return (f"{detail}: {about['why']}" if about["why"] else detail), "predictq workers"
        case Concern.FAILING:
            label = f"{about['model']}:{about['version']}"
            fail = "fails" if about["batches"] == 1 else "fail"
            batches = count_of(about["batches"], "batch", "batches")
            return f"{batches} of {label} {fail}: {about['error']}", "read the workers' logs"
        case Concern.ROWS_FAIL:
            most = f", most of them {about['error_code']}" if about["error_code"] else ""
            part = f"{about['failed']:,} of {about['rows']:,}"
            detail = f"{part} rows of {about['model']} had an error in the last hour{most}"
            return detail, f"predictq models show {quote(about['model'])}"
        case Concern.STALLED | Concern.LATE:
            return _words_of_waiting(need)
        case Concern.SOURCE_AWAY | Concern.SOURCE_REFUSES | Concern.SOURCE_CHANGED:
            return _words_of_source(need), f"predictq sources check {quote(about['source'])}"
        case Concern.DATABASE_FULL | Concern.REDIS | Concern.DISK:
            return _words_of_servers(need)
        case Concern.UPKEEP:
            detail, advice = words_of_upkeep(about)
            return f"the upkeep: {detail}", advice
        case Concern.PAUSED:
            what = " of ".join(filter(None, (about["queue"] and f"the queue {about['queue']}", about["model"])))
            return f"{what} is paused by {about['actor']}: {about['reason']}", resume_command(
                about["queue"], about["model"]
            )


def _words_of_workers(need: NeedsPerson) -> tuple[str, str]:
    waiting = count_of(need.about["rows"], "row waits", "rows wait")
    if need.code is Concern.NO_WORKER:
        return f"no worker is alive, {waiting}", _ADD_WORKER
    names = ", ".join(need.about["workers"])
    return f"workers run, and cannot write to PostgreSQL ({names}), {waiting}", "read the workers' logs"


def _words_of_servers(need: NeedsPerson) -> tuple[str, str]:
    about = need.about
    if need.code is Concern.REDIS:
        return RedisTrouble(about["trouble"]).words
    if need.code is Concern.DATABASE_FULL:
        return "PostgreSQL's disk is full: nothing is accepted", "make room on the disk of PostgreSQL's data"
    if not about["days"]:
        return f"the disk is full, or nearly: {about['free_bytes'] / 1e6:.0f} MB are free", "predictq storage"
    return f"the disk is full in {about['days']:.0f} days", "predictq storage"


def _words_of_source(need: NeedsPerson) -> str:
    about, name = need.about, need.about["source"]
    if need.code is Concern.SOURCE_AWAY:
        return f"the source {name} does not answer"
    if need.code is Concern.SOURCE_REFUSES:
        return f"the source {name} cannot be read: a right, its table or a column is gone or has changed"
    names = ", ".join([*about["lacking"], *about["changed"]])
    return f"{about['model']}:{about['version']} is live, and {name} lacks or has otherwise: {names}"


def _words_of_waiting(need: NeedsPerson) -> tuple[str, str]:
    about = need.about
    if need.code is Concern.STALLED:
        return f"rows of {about['queue']} wait for {about['seconds']:.0f} s, none is answered", "predictq workers"
    minutes = about["seconds"] / 60
    rows = count_of(about["rows"], "row waits", "rows wait")
    return f"the queue {about['queue']} has waited for {minutes:.0f} min, {rows}", _ADD_WORKER
