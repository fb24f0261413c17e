"""Erasure of one person: where her rows are, what else holds her, compaction, and the export of all that is held.

SQL and records only. Pages of features are rewritten by `worker.erasure`, which needs numpy. No text that is made here
(a log line, an error, an audit line) holds a client key.
"""
