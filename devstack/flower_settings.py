"""What Celery must know inside Flower. The image of Flower holds this file as `celeryconfig.py`, where Celery looks.

A broadcast of Flower holds one connection of this pool and asks it for a second one. It sends up to thirteen at once,
each in a thread of its own, and has 32 threads at most. With fewer than twice as many connections all of them can come
to wait for each other, and then the pages stay empty for ever.
"""

from kombu.transport.redis import QoS

broker_pool_limit = 80

# Our Redis runs no scripts, which kombu needs for what expires, and to put back messages; Flower takes none.
control_queue_expires = None
event_queue_expires = None
QoS.restore_visible = lambda *_arguments, **_named: None  # type: ignore[method-assign]
