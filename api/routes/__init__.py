"""The calls, one module per kind of thing they are about."""
