"""What must stand in the environment before numpy and prometheus_client are imported."""

import os
import tempfile

_THREAD_VARIABLES = ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS")


def prepare_environment() -> None:
    """One thread per process, and a directory in which the pool's processes share their metrics.

    Replicas are processes: numeric threads on top of them only fight for the same cores.
    """
    for name in _THREAD_VARIABLES:
        os.environ.setdefault(name, "1")
    os.environ["PROMETHEUS_MULTIPROC_DIR"] = tempfile.mkdtemp(prefix="predictq-metrics-")
