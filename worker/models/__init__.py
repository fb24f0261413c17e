"""Models in memory: loaded from PostgreSQL, compiled where they are linear, tried on sample rows.

Nothing here knows batches.
"""
