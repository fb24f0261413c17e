"""Who calls, from where, and how much."""
