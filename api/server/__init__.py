"""The running gateway: start, routing around the application, threads for PostgreSQL, deadlines, shared calls.

Nothing here knows what a single route asks or answers.
"""
