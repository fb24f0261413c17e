"""The process that does errands: one beside every worker, idle most of the time."""

from __future__ import annotations

from tests.support import loaded_of


def test_an_idle_process_of_errands_has_no_library_of_models() -> None:
    """Whoever opens a model does so in a process apart, which loads what it needs."""
    assert loaded_of("pandas sklearn scipy joblib celery", by="worker.errands.main") == ""
