"""Put on PYTHONPATH, this lets the processes that a test starts run the same mutant as the test itself."""

from tests.mutants.importing import install_from_environment

install_from_environment()
