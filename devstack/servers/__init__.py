"""PostgreSQL and Valkey out of Python packages: prepared, started and found again, with nothing to install.

Nothing here knows predictq's tables or programs.
"""
