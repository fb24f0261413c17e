"""`python -m worker.upkeep`: the environment first, because numpy reads it when imported."""

from worker.environment import prepare_environment

prepare_environment()

from worker.upkeep.main import main  # noqa: E402 - see above

main()
