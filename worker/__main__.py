"""`python -m worker`: the environment first, because numpy and prometheus_client read it when imported."""

from worker.environment import prepare_environment

prepare_environment()

from worker.main import main  # noqa: E402 - see above

main()
