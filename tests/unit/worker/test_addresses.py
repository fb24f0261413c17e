"""Where a worker looks for the address of a source elsewhere, and what it says of the place."""

from __future__ import annotations

from pathlib import Path

import pytest
from structlog.testing import capture_logs

from shared.sources.keys import KeyColumn
from shared.sources.source import Source
from worker.sources.connections import Remote, find_address
from worker.sources.failures import SourceAway

SOURCE = Source(1, "meters", "CRM_URL", "s", "r", (KeyColumn("no", "text"),), ())


def test_the_file_to_write_is_named_whole_where_there_is_one(tmp_path: Path) -> None:
    """It is read at each connection: nothing is to be started again. An environment is read at the start."""
    file = tmp_path / ".env"
    with (
        pytest.raises(SourceAway) as told,
        Remote("CRM_URL", environment={"PREDICTQ_ENV_FILE": str(file)}).connected(SOURCE),
    ):
        pass
    assert f"CRM_URL=postgresql://USER:PASSWORD@HOST/DATABASE into {file}," in str(told.value)
    assert "start" not in str(told.value)
    with pytest.raises(SourceAway, match="set the environment variable CRM_URL for it, and start it again"):
        Remote("CRM_URL", environment={}).connected(SOURCE).__enter__()


def test_a_file_of_passwords_that_others_may_read_is_said_once(tmp_path: Path) -> None:
    """One of its owner's alone is no word worth."""
    open_file, closed = tmp_path / "open.env", tmp_path / "closed.env"
    for file, mode in ((open_file, 0o640), (closed, 0o600)):
        file.write_text("CRM_URL=postgresql://u@h/d\n", encoding="utf-8")
        file.chmod(mode)
    with capture_logs() as said:
        for file in (open_file, closed, open_file):
            assert find_address("CRM_URL", {"PREDICTQ_ENV_FILE": str(file)}) == "postgresql://u@h/d"
    assert [(line["file"], line["mode"]) for line in said] == [(str(open_file), "640")]
