"""PostgreSQL, Redis and a process supervisor for a machine that has only Python."""
