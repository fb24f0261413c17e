"""What Celery and browsers must know of Flower. Its image holds this file as `celeryconfig.py`, where Celery looks.

A broadcast of Flower holds one connection of this pool and asks it for a second one. It sends up to thirteen at once,
each in a thread of its own, and has 32 threads at most. With fewer than twice as many connections all of them can come
to wait for each other, and then the pages stay empty for ever.
"""

from typing import Any

from flower.views import BaseHandler
from kombu.transport.redis import QoS

broker_pool_limit = 80

# Our Redis runs no scripts, which kombu needs for what expires, and to put back messages; Flower takes none.
control_queue_expires = None
event_queue_expires = None
QoS.restore_visible = lambda *_arguments, **_named: None  # type: ignore[method-assign]

# No other page may show Flower in a frame; nothing comes from elsewhere. Its pages have scripts and styles in them.
_POLICY = (
    "default-src 'none'; script-src 'self' 'unsafe-inline'; style-src 'self' 'unsafe-inline'; img-src 'self' data:; "
    "font-src 'self'; connect-src 'self'; form-action 'self'; base-uri 'none'; frame-ancestors 'none'"
)
_own_headers = BaseHandler.set_default_headers


def _set_headers(handler: Any) -> None:
    _own_headers(handler)
    handler.set_header("Content-Security-Policy", _POLICY)


BaseHandler.set_default_headers = _set_headers
