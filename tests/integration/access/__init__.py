"""Who may call, and how much: keys, roles, people, limits."""
