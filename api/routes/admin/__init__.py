"""Calls of those who run the service: API keys, pauses, the audit log."""
