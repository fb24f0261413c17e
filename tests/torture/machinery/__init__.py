"""The cluster that is tortured, and the tools that hurt it."""
