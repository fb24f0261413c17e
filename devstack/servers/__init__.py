"""PostgreSQL and Redis run from Python packages, without root and without installation.

Nothing here knows predictq's tables or programs.
"""
