"""Tables, guards, roles and migrations on a real PostgreSQL."""
