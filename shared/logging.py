"""Structured logs: one JSON object per line for machines, or coloured lines for people."""

from __future__ import annotations

import logging
import sys
import threading
from types import TracebackType

import structlog

from shared.config import Settings
from shared.told_errors import traceback_without_values, words_of


def configure_logging(settings: Settings, *, service: str) -> None:
    """Send this process's logs, structlog's and the standard library's alike, to standard error."""
    shared: list[structlog.typing.Processor] = [
        structlog.contextvars.merge_contextvars,
        structlog.stdlib.add_log_level,
        structlog.stdlib.add_logger_name,
        structlog.processors.TimeStamper(fmt="iso", utc=True),
        _tell_exception,
    ]
    structlog.configure(
        processors=[*shared, structlog.stdlib.ProcessorFormatter.wrap_for_formatter],
        wrapper_class=structlog.stdlib.BoundLogger,
        logger_factory=structlog.stdlib.LoggerFactory(),
        cache_logger_on_first_use=True,
    )
    renderer = (
        structlog.processors.JSONRenderer()
        if settings.log_format == "json"
        else structlog.dev.ConsoleRenderer(colors=sys.stderr.isatty())
    )
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(
        structlog.stdlib.ProcessorFormatter(
            foreign_pre_chain=shared,
            processors=[
                structlog.stdlib.ProcessorFormatter.remove_processors_meta,
                _adder("service", service),
                renderer,
            ],
        )
    )
    logging.captureWarnings(capture=True)
    if sys.excepthook is sys.__excepthook__:
        sys.excepthook = _log_end
    if threading.excepthook is threading.__excepthook__:  # a run of tests has one of its own
        threading.excepthook = _log_end_of_thread
    root = logging.getLogger()
    root.handlers[:] = [handler]
    root.setLevel(settings.log_level)
    logging.getLogger("alembic").setLevel("WARNING")
    logging.getLogger("uvicorn.access").disabled = True  # a line per call costs more than the call


def _log_end(_kind: type[BaseException], error: BaseException, _traceback: TracebackType | None) -> None:
    """What ends the process, in the place of Python's own traceback, whose text may repeat a value."""
    if isinstance(error, KeyboardInterrupt):
        return
    get_logger(__name__).critical("process_ended", exc_info=error)


def _log_end_of_thread(ended: threading.ExceptHookArgs) -> None:
    """The same of what ends a thread."""
    if isinstance(ended.exc_value, SystemExit):
        return
    name = None if ended.thread is None else ended.thread.name
    get_logger(__name__).error("thread_ended", thread=name, exc_info=ended.exc_value)


def _tell_exception(_logger: object, _method: str, event: structlog.typing.EventDict) -> structlog.typing.EventDict:
    """Put a traceback in the place of `exc_info`; it has no text that could hold a value, and nor has the message."""
    given = event.pop("exc_info", None)
    if not given:
        return event
    error = given if isinstance(given, BaseException) else (given if isinstance(given, tuple) else sys.exc_info())[1]
    if error is not None:
        event["exception"] = traceback_without_values(error)
        for text in filter(None, (repr(error), str(error))):  # libraries put it into their messages, too
            event["event"] = str(event["event"]).replace(text, words_of(error))
    return event


def _adder(key: str, value: str) -> structlog.typing.Processor:
    def add(_logger: object, _method: str, event: structlog.typing.EventDict) -> structlog.typing.EventDict:
        event.setdefault(key, value)
        return event

    return add


def get_logger(name: str) -> structlog.stdlib.BoundLogger:
    """A logger that takes key=value pairs."""
    logger: structlog.stdlib.BoundLogger = structlog.stdlib.get_logger(name)
    return logger
