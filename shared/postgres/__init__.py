"""PostgreSQL itself: engines and transactions, COPY, the tables.

No rule about jobs, batches or models lives here.
"""
