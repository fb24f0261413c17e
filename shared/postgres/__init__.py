"""PostgreSQL itself: engines and transactions, COPY, the tables.

Statements about jobs, batches and models belong in rooms of their own.
"""
