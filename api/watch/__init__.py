"""What the operator sees of the gateway: metrics, outages in the log, the row accounting.

It only looks; no answer to a caller depends on it.
"""
