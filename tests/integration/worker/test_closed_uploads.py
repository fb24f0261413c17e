"""Tables that break in: what code out of a file could do in the process that opens an upload."""

from __future__ import annotations

import io
import os
import socket
from hashlib import sha256
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest
from pyarrow import parquet
from sqlalchemy import Engine
from uuid_utils.compat import uuid7

from shared.config import Settings
from shared.postgres.engine import transaction
from shared.uploaded_files import add_piece, begin_file, end_file
from shared.uploads.table_order import TableOrder
from tests.integration.jobs.test_table_uploads import workbook
from tests.integration.worker.test_closed_process import attempts, network, secrets
from tests.support import OWNER, ROOT, add_clients, add_model, environment, wait_until
from worker.errands.apart import do_apart
from worker.planning.failures import UploadRefusedAtPlan
from worker.planning.upload_pages import UploadReader

# In the place of the library that opens workbooks, as if a file had made that do its will.
_LIBRARY = """
import json, os, pathlib, socket, stat, subprocess, sys, types
found = dict(os.environ)
{}
network = tried
{}
secrets = tried
{}
def take_over(*_, **__):
    # A refusal has few letters: what was seen comes back as an answer of the library's own making.
    answer = json.dumps({{"result": [network, secrets, tried, str(found)]}}).encode()
    for fd in range(3, 20):
        try:
            if stat.S_ISFIFO(os.fstat(fd).st_mode):
                os.write(fd, answer)
        except OSError: pass
    os._exit(0)
Reader = type("ExcelReader", (), {{"__init__": take_over}})
names = dict.fromkeys(["Text", "SHARED_STRINGS", "SHEET_MAIN_NS", "iterparse"])
for part in ("cell", "cell.text", "reader", "reader.excel", "xml", "xml.constants", "xml.functions"):
    sys.modules["openpyxl." + part] = types.SimpleNamespace(ExcelReader=Reader, **names)
"""


def sent(engine: Engine, content: bytes) -> TableOrder:
    """A file as the gateway keeps it."""
    upload_id = uuid7()
    with transaction(engine) as connection:
        begin_file(connection, upload_id, OWNER, "application/octet-stream")
        add_piece(connection, upload_id, 0, content)
        end_file(connection, upload_id, size=len(content), sha256=sha256(content).hexdigest())
    return TableOrder(upload_id)


def test_a_small_file_that_holds_a_lot_is_refused(
    settings: Settings, engine: Engine, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Kilobytes of Parquet with most of a gigabyte in them: the worker has no memory for it, and says so at once."""
    version = add_model(engine)
    add_clients(engine, 1)
    table = pa.table({"client_id": ["1", "2" * 700_000_000]})
    target = io.BytesIO()
    parquet.write_table(table, target, compression="zstd")
    order = sent(engine, target.getvalue())
    assert len(target.getvalue()) < 100_000
    for name, value in environment(settings).items():
        monkeypatch.setenv(name, value)
    asked = {"order": order.to_json(), "owner": OWNER, "version_id": version}
    seen = do_apart("look_at_upload")(asked)
    assert "too much memory" in str(seen["problems"])
    with UploadReader(order, owner=OWNER, version_id=version, skip=0, most=10, spool_bytes=2**20) as reader:
        wait_until(lambda: reader.spool.is_ended, seconds=60, what="the refusal")
        with pytest.raises(UploadRefusedAtPlan, match="too much memory"):
            reader.check()


def test_whoever_takes_over_the_reader_of_a_table_reaches_nothing(
    settings: Settings, engine: Engine, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """No network, no secret of the worker's, no file but the upload, and that to be read alone."""
    version = add_model(engine)
    add_clients(engine, 1)
    order = sent(engine, workbook([["client_id"], [1]]))
    beside = tmp_path / "beside"
    beside.mkdir()
    (beside / ".env").write_text("SOURCE=s3cret")
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
        program = _LIBRARY.format(
            attempts(*network(port)),
            attempts(*secrets(beside)),
            attempts(
                "open('/tmp/here', 'w')",
                f"open({str(beside / '.env')!r}, 'a')",
                "list(pathlib.Path('/tmp').iterdir())",
            ),
        )
        (tmp_path / "openpyxl.py").write_text(program)
        for name, value in environment(settings).items():
            monkeypatch.setenv(name, value)
        monkeypatch.setenv("PYTHONPATH", f"{tmp_path}:{ROOT}")
        monkeypatch.setenv("CRM_URL", "postgresql://somebody:s3cret@nowhere/none")
        seen: Any = do_apart("look_at_upload")({"order": order.to_json(), "owner": OWNER, "version_id": version})
    tried: list[Any] = seen
    assert [set(names) & {"done"} for names in tried[:3]] == [set()] * 3
    assert [len(names) for names in tried[:3]] == [6, 5, 3]
    assert "PATH" in tried[3]
    assert "s3cret" not in str(seen)
    assert not {"DATABASE_URL", "CRM_URL"} & {*tried[3].split("'")}
    assert (beside / ".env").read_text() == "SOURCE=s3cret"
    assert os.environ["CRM_URL"]  # it was there to be found
