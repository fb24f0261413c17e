"""The screens about jobs: the list, one job, and new ones."""
