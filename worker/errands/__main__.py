"""`python -m worker.errands`: the environment first, because numpy reads it when imported."""

from worker.environment import limit_threads

limit_threads()

from worker.errands.main import main  # noqa: E402 - see above

main()
