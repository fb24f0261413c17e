"""The gateway: takes work in, answers questions about it, and never scores."""
