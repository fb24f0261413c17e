"""`python -m worker.planning`."""

from worker.planning.main import main

main()
