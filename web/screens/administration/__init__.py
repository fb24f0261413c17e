"""Screens of administrators: API keys, the audit log, and what is kept."""
