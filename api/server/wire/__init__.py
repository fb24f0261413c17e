"""The wire: bytes of callers made into calls and answers made into bytes, who calls, and what a connection may take.

Knows nothing of routes, keys or PostgreSQL. What a call means begins in `api.server.middleware`.
"""
