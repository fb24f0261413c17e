"""Partitions as retention sees them: which can go whole, what they hold, and how they leave."""
