"""What the operator sees of the gateway: metrics, outages in the log, the row accounting.

It only looks: no job is let in, changed or refused because of it.
"""
