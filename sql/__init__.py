"""The database schema as Alembic migrations: tables, triggers and views."""
