"""A stand-in for Redis, for machines that have none: `python -m devstack.servers.fake_redis redis.conf`.

It reads port and password from the real server's configuration. It keeps everything in memory and answers a
client that gives no password, so it is for trying things out only.
"""

import signal
import sys
import threading
from pathlib import Path

from fakeredis import TcpFakeServer


def main() -> None:
    """Serve until SIGTERM."""
    lines = Path(sys.argv[1]).read_text(encoding="utf-8").splitlines()
    config = {name: value.strip('"') for name, _, value in (line.partition(" ") for line in lines)}
    server = TcpFakeServer(("127.0.0.1", int(config["port"])), server_version=(7, 0))
    server.daemon_threads = True  # a client that stays connected must not keep us from ending
    server.fake_server.config[b"requirepass"] = config["requirepass"].encode()
    # From a thread of its own: shutdown() waits for the loop, which this thread is in.
    signal.signal(signal.SIGTERM, lambda *_: threading.Thread(target=server.shutdown).start())
    with server:
        server.serve_forever()


if __name__ == "__main__":
    main()
