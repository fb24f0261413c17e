"""Sources: describing, reading, files as tables, and tables that nobody thought of."""
