"""Queues: who gets which batch when, what is put back, and messages of strangers."""
