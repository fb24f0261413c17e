"""The running gateway: start, the layer around every call, threads for PostgreSQL, deadlines, shared calls.

What a single call asks and answers belongs in `api.routes`.
"""
