"""`python -m api --host 0.0.0.0 --port 8000`: run the gateway."""

from api.server.main import main

main()
