"""`python -m devstack.flower PORT`: Flower on 127.0.0.1, with the broker from the environment.

Its own command would want the broker's URL, password and all, on a command line that every user can list.
"""

import sys

from shared.config import load_settings
from shared.messaging.celery_app import make_celery

if __name__ == "__main__":
    make_celery(load_settings()).start(
        ["flower", "--address=127.0.0.1", f"--port={int(sys.argv[1])}", "--logging=warning"]
    )
