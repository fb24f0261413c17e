"""From a claimed batch to committed answers: reading features, checks, prediction, isolation, the lease.

Nothing here knows Celery, the library, or how a batch came in.
"""
