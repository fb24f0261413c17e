"""Jobs in PostgreSQL: accepting them, reading them and their results, cancelling them.

No HTTP, and no scoring.
"""
