"""Torture: real processes, injected faults, and an independent comparison of what was promised with what is stored."""
