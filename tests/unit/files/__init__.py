"""Files of callers, and client keys."""
