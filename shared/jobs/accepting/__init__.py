"""Acceptance of jobs: what makes a 202 true. Nothing here reads a job back."""
