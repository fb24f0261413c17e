"""Rows of a file on their way into pages: a process that opens it, a thread that reads on, pages cut by width."""

from __future__ import annotations

import json
import subprocess
import sys
import threading
import time
from contextlib import ExitStack
from io import BufferedReader
from typing import Any, cast

from shared.jobs.planning import PlannedPage
from shared.status import JobError
from shared.told_errors import words_of
from shared.uploads.table_order import TableOrder
from worker.child_directory import child_directory
from worker.closed.process import end_group
from worker.planning.failures import PlanFailed, UploadRefusedAtPlan
from worker.planning.page_cutter import LineCutter
from worker.planning.spool import KeySpool

_PATIENCE_SECONDS = 5  # for which the process may wait for space in the spool, in all
_OPEN_SECONDS = 1_800.0  # to read the whole file once; a workbook of a million rows takes minutes
_STALL_SECONDS = 60.0  # without a row, once rows come
_PIECE = 1 << 18
# What the process says that no other attempt can mend. All else may be better later.
_AT_ONCE = {"upload_refused": JobError.UPLOAD_REFUSED, "file_unknown": JobError.UPLOAD_GONE}


class UploadReader:
    """One reading of a file, from after `skip` rows on. A context: at its end the process and its files are gone."""

    def __init__(
        self, order: TableOrder, *, owner: str, version_id: int, skip: int, most: int, spool_bytes: int
    ) -> None:
        asked = {"order": order.to_json(), "owner": owner, "version_id": version_id, "skip": skip, "most": most}
        self._asked = json.dumps(asked).encode()
        self._child: subprocess.Popen[bytes] | None = None
        self._has_begun = False
        self._files = ExitStack()
        self.spool = KeySpool(spool_bytes, patience_seconds=_PATIENCE_SECONDS)
        self._thread = threading.Thread(target=self._run, name="upload-reader", daemon=True)

    def __enter__(self) -> UploadReader:
        """Start the process. From this thread: Linux ends it with the thread that started it."""
        command = [sys.executable, "-m", "worker.uploads", "rows"]
        environment = self._files.enter_context(child_directory())
        self._child = subprocess.Popen(
            command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, env=environment, start_new_session=True
        )
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()
        self.spool.discard()

    def stop(self) -> None:
        """Read no further. What is in the spool stays."""
        self.spool.drop()
        if self._child is not None:
            end_group(self._child)
        self._thread.join()
        if self._child is not None and self._child.stdout is not None:
            self._child.stdout.close()
        self._files.close()

    def check(self) -> None:
        """Raise PlanFailed where the file is refused, or its process ended or gives nothing for too long."""
        spool = self.spool
        if isinstance(spool.failure, PlanFailed):
            raise spool.failure
        if spool.failure is not None:
            words = f"The file could not be read ({words_of(spool.failure)})."
            raise PlanFailed(JobError.PLANNING_FAILED, words) from spool.failure
        patience = _STALL_SECONDS if self._has_begun else _OPEN_SECONDS
        if not spool.is_ended and time.monotonic() - spool.last_arrival > patience:
            raise UploadRefusedAtPlan(JobError.UPLOAD_REFUSED, f"The file was not read within {patience:g} s: cut it.")

    def _run(self) -> None:
        try:
            self._pump()
        except Exception as error:  # noqa: BLE001 - raised in the planner's own thread, by `check`
            self.spool.end(error)
        else:
            self.spool.end()

    def _pump(self) -> None:
        child = self._child
        if child is None or child.stdin is None or child.stdout is None:
            return
        with child.stdin as order:
            order.write(self._asked)
        answer = child.stdout.readline()
        said: dict[str, Any] = json.loads(answer) if answer else {}
        if code := said.get("code"):
            if code in _AT_ONCE:
                raise UploadRefusedAtPlan(_AT_ONCE[code], said["detail"])
            raise PlanFailed(JobError.PLANNING_FAILED, said["detail"])
        self._copy(cast("BufferedReader", child.stdout))
        status = child.wait()
        if status or not said:
            how = f"signal {-status}" if status < 0 else f"exit status {status}"
            raise PlanFailed(JobError.PLANNING_FAILED, f"The process that opens the file ended ({how}).")

    def _copy(self, lines: BufferedReader) -> None:
        # Each piece as it comes. Before the first the file is looked through, and rows that were planned are skipped.
        while piece := lines.read1(_PIECE):
            self.spool.last_arrival = time.monotonic()
            self._has_begun = True
            self.spool.incoming.write(piece)


class UploadCutter(LineCutter):
    """Cuts lines of a file, in its order: key, spelling, features."""

    def _page(self, lines: list[bytes]) -> PlannedPage:
        self.planned += len(lines)
        keys, spellings, given = zip(*[line.split(b"\t", 2) for line in lines], strict=True)
        spelled = [b'"%d":%b' % (row, text) for row, text in enumerate(spellings) if text]
        return PlannedPage(
            b",".join(keys) if keys[0] else None,
            len(lines),
            str(self.planned),
            b",".join(given) if given[0] else None,
            b"{%b}" % b",".join(spelled) if spelled else None,
        )
