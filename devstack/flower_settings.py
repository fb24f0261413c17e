"""What Celery must know inside Flower. The image of Flower holds this file as `celeryconfig.py`, where Celery looks.

A broadcast of Flower holds one connection of this pool and asks it for a second one. It sends up to thirteen at once,
each in a thread of its own, and has 32 threads at most. With fewer than twice as many connections all of them can come
to wait for each other, and then the pages stay empty for ever.
"""

broker_pool_limit = 80
