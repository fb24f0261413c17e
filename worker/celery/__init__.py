"""The worker as Celery runs it: the task, the consumer, the order of queues, pool processes, notices.

Nothing here scores.
"""
