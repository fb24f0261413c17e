"""Batches in PostgreSQL: claim and finish under a fence, the sweep, and the row accounting.

No message is sent from here.
"""
