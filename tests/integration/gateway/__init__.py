"""The gateway on a real database: its calls, its limits, what it does when something is away."""
