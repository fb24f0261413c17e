"""`python -m devstack.flower PORT`: Flower on 127.0.0.1, with broker and password from the environment.

Its own command would want the broker's URL, password and all, on a command line that every user can list.
"""

import sys

from devstack.flower_settings import broker_pool_limit
from shared.config import load_settings
from shared.messaging.celery_app import make_celery

if __name__ == "__main__":
    app = make_celery(load_settings())
    app.conf.broker_pool_limit = broker_pool_limit
    app.start(["flower", "--address=127.0.0.1", f"--port={int(sys.argv[1])}", "--logging=warning"])
