"""What is done beside scoring, so that the service stays as it is: lost messages, partitions, retention, expiry.

The sweeper is a thread of each worker. All else are duties of the upkeep process, `python -m worker.upkeep`: their list
is in `duties`. Nothing here scores or claims.
"""
