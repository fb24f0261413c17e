"""`predictq clients erase | export`, `erasures` and `compact`: a person goes, and all that is held of one."""

from __future__ import annotations

import json
import shlex
import sys
import time
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from cli.arguments.client_key import Composite, KeyParts, NoSource, Source, client_order
from cli.arguments.options import ApiKeyText, ApiUrl, api_client
from cli.errors import ExitStatus, FileRefused
from cli.output.console import AsJson, minute_text, plain_text, remark, say, say_json, say_table
from shared.access.private_files import open_private
from shared.sentences import count_of

if TYPE_CHECKING:
    from cli.connection.client import ApiClient

app = typer.Typer(no_args_is_help=True, help="Erasures of persons: how they stand, and again after a restore.")

Reason = Annotated[str, typer.Option(help="Why; it is kept, so it must not name the client.")]
POLL_SECONDS = 0.5
_POLLS_UNTOLD = 8  # the upkeep looks every two seconds
LINES_AT_ONCE = 10_000  # hashes that one call takes


def erase(
    key: KeyParts,
    reason: Reason,
    source: Source = None,
    no_source: NoSource = False,
    composite: Composite = False,
    compact_too: Annotated[
        bool, typer.Option("--compact", help="Then take her old bytes out of the table files; needs the database.")
    ] = False,
    wait: Annotated[bool, typer.Option("--wait/--no-wait", help="Wait for the end.")] = True,
    api_url: ApiUrl = None,
    api_key: ApiKeyText = None,
    as_json: AsJson = False,
) -> int:
    """Erase one client of a source from all that predictq holds. The rows of her predictions stay, as erased."""
    order = {**client_order(key, source, composite=composite, no_source=no_source), "reason": reason}
    with api_client(api_url, api_key, quiet=as_json) as http:
        erasure = http.call("POST", "/v1/erasures", order)
        elsewhere = erasure.pop("elsewhere")
        if wait or compact_too:
            erasure = _ended(http, erasure["id"])
    if compact_too and erasure["status"] == "done":
        left = _compact(quiet=as_json, under=_place(erasure["source"]))
        with api_client(api_url, api_key, quiet=as_json) as http:
            erasure = http.call("GET", f"/v1/erasures/{erasure['id']}")
    else:
        left = {}
    if as_json:
        say_json({**erasure, "elsewhere": elsewhere, "not_compacted": left})
    else:
        _say(erasure)
        _say_elsewhere(elsewhere)
    return ExitStatus.NOT_SUCCEEDED if erasure["status"] == "failed" or left else ExitStatus.DONE


def export(
    key: KeyParts,
    source: Source = None,
    no_source: NoSource = False,
    composite: Composite = False,
    output: Annotated[
        Path | None, typer.Option("--output", "-o", dir_okay=False, help="A new file; by default standard output.")
    ] = None,
    api_url: ApiUrl = None,
    api_key: ApiKeyText = None,
) -> None:
    """Write all that is held of one client as JSON: her answers, the features they were made from, her row as it is."""
    order = client_order(key, source, composite=composite, no_source=no_source)
    with api_client(api_url, api_key, quiet=True) as http:
        document = http.call("POST", "/v1/clients/export", order)
    text = json.dumps(document, indent=2, ensure_ascii=False) + "\n"
    if output is None:
        sys.stdout.write(text)
        return
    # A file about a person is for nobody else, and no other file is written over.
    with open_private(output, "x") as stream:
        stream.write(text)
    remark(f"{count_of(len(document['predictions']), 'prediction')} written to {plain_text(output)}")


@app.command("list")
def list_(
    limit: Annotated[int, typer.Option(min=1, max=1000, help="How many.")] = 20,
    api_url: ApiUrl = None,
    api_key: ApiKeyText = None,
    as_json: AsJson = False,
) -> None:
    """Show the newest erasures, without the persons."""
    with api_client(api_url, api_key, quiet=as_json) as http:
        found = http.call("GET", f"/v1/erasures?limit={limit}")["erasures"]
    if as_json:
        say_json(found)
        return
    rows = [
        (item["id"], item["kind"], item["source"], item["status"], item["pages"],
         None if item["kind"] == "replay" else item["answers"],  # it counts persons, who stand in lines of their own
         minute_text(item["created_at"]), minute_text(item["compacted_at"]), item["reason"])
        for item in found
    ]  # fmt: skip
    headers = ("erasure", "", "source", "status", "pages", "answers", "asked (UTC)", "compacted (UTC)", "reason")
    say_table(headers, rows, right=frozenset({"pages", "answers"}))
    for item in found:
        if item["error"]:
            remark(plain_text(f"{item['id']} {'failed' if item['status'] == 'failed' else 'waits'}: {item['error']}"))


@app.command()
def replay(
    file: Annotated[Path, typer.Argument(exists=True, dir_okay=False, readable=True, help="An erasures.log.")],
    reason: Reason = "restore from a backup",
    skip_bad_lines: Annotated[
        bool,
        typer.Option("--skip-bad-lines", help="Go on without lines that cannot be read, as a full disk left them."),
    ] = False,
    api_url: ApiUrl = None,
    api_key: ApiKeyText = None,
    as_json: AsJson = False,
) -> int:
    """Erase again, after a restore from a backup, everybody whose hash is in the file."""
    parts = _replay_parts(file, skip_bad=skip_bad_lines)
    with api_client(api_url, api_key, quiet=as_json) as http:
        ended = [
            _ended(http, http.call("POST", "/v1/erasures/replay", {"erased": part, "reason": reason})["id"])
            for part in parts
        ]
    if as_json:
        say_json(ended)
    for item, part in () if as_json else zip(ended, parts, strict=True):
        done = item["status"] == "done"
        say(_replayed(item, is_secret_known="secret" in part[0]) if done else plain_text(item["error"]))
    return ExitStatus.DONE if all(item["status"] == "done" for item in ended) else ExitStatus.NOT_SUCCEEDED


def _replay_parts(file: Path, *, skip_bad: bool) -> list[list[dict[str, str]]]:
    """The lines of a log as calls take them. Each secret has calls of its own: those of another one fail alone."""
    from shared.erasure.errors import numbers_text  # noqa: PLC0415
    from shared.erasure.kept_hashes import bad_lines, read_log  # noqa: PLC0415 - needs SQLAlchemy: `--help` must not wait

    written = file.read_text("utf-8", errors="replace").splitlines()
    lines = read_log(written, skip_bad=skip_bad)
    if bad := bad_lines(written):
        remark(f"{numbers_text(bad)} left out: whoever stood there is not erased again")
    if not lines:
        raise FileRefused(f"{file} holds no line")
    by_secret: dict[str | None, list[dict[str, str]]] = {}
    for line in lines:
        wanted = {name: value for name, value in line._asdict().items() if value is not None}
        by_secret.setdefault(line.secret, []).append(wanted)
    return [part[n : n + LINES_AT_ONCE] for part in by_secret.values() for n in range(0, len(part), LINES_AT_ONCE)]


def _replayed(item: Mapping[str, Any], *, is_secret_known: bool) -> str:
    """Who was found. Of old lines nobody may mean that another secret made them, which nothing else would tell."""
    gone_through = f"{count_of(item['pages'], 'page')} gone through"
    if item["answers"]:
        return f"{count_of(item['answers'], 'person')} found again, {gone_through}; the upkeep process erases them"
    same_file = "the erasures.secret of the upkeep process is the one that was kept with this log, and that "
    return (
        f"nobody found again, {gone_through}. If somebody should be there, see that "
        f"{'' if is_secret_known else same_file}the source has the name that it had"
    )


def compact(as_json: AsJson = False) -> int:
    """Take the old bytes of erased clients out of the table files. Readers of a table wait while it is written anew."""
    left = _compact(quiet=as_json)
    if as_json:
        say_json({"not_compacted": left})
    return ExitStatus.NOT_SUCCEEDED if left else ExitStatus.DONE


def _compact(*, quiet: bool, under: str = "the sources that they were erased from") -> dict[str, str]:
    from cli.connection.database import database  # noqa: PLC0415 - SQLAlchemy takes 0.2 s to import
    from shared.erasure.compact import Compacted  # noqa: PLC0415
    from shared.erasure.compact import compact as run  # noqa: PLC0415

    def tell(done: Compacted) -> None:
        if not quiet:
            size = f"{done.bytes_before / 1e6:,.1f} → {done.bytes_after / 1e6:,.1f} MB in {done.seconds:.1f} s"
            say(f"{done.table}: {size}")

    with database() as engine:
        report = run(engine, on_table=tell)
    for table, why in report.left.items():
        remark(f"{table} is left: {why}")
    if not quiet and report.is_complete:
        gone = plain_text(f"no byte of an erased client is left in the table files under {under}")
        say(gone if report.compacted else "nothing to compact")
    return report.left


def _ended(http: ApiClient, erasure_id: str) -> dict[str, Any]:
    polls, told = 0, None
    while (erasure := http.call("GET", f"/v1/erasures/{erasure_id}"))["status"] not in ("done", "failed"):
        polls += 1
        if polls == _POLLS_UNTOLD and erasure["status"] == "queued":
            remark("waiting for the upkeep process (predictq upkeep)")
        if erasure["error"] != told and (told := erasure["error"]):
            remark(plain_text(told))
        time.sleep(POLL_SECONDS)
    return erasure


def _say(erasure: dict[str, Any]) -> None:
    if erasure["status"] == "failed":
        remark(plain_text(erasure["error"]))
    elif erasure["status"] == "done":
        answers, pages = count_of(erasure["answers"], "answer"), count_of(erasure["pages"], "page")
        say(f"erased: {answers} in {pages} (erasure {erasure['id']})")
        if not erasure["compacted_at"]:
            remark("Her old bytes leave the table files with the next compaction: predictq compact, or tonight")
    else:
        say(f"erasure {erasure['id']} is {erasure['status']}. See how it stands with: predictq erasures list")


def _say_elsewhere(others: list[dict[str, Any]]) -> None:
    """What the erasure does not reach, and what to type. The key stands in no line."""
    for other in others:
        table = " over the same table" if other["is_same_table"] else ""
        answers = count_of(other["answers"], "answer") if other["answers"] else "no answer"
        what = "Not erased" if other["answers"] else "Note"
        named = ["--no-source"] if other["source"] is None else ["--source", other["source"]]
        remark(
            plain_text(
                f"{what}: {_place(other['source'])}{table} has {answers} for the "
                f"same key. If that is the same client: predictq clients erase KEY {shlex.join(named)} --reason …"
            )
        )


def _place(source: str | None) -> str:
    return "no source" if source is None else f"source {source}"
