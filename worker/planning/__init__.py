"""Planning: finding the rows of a job by filter, or in a file, and writing them as batches.

It is done in a process beside the scoring ones.

Nothing in here imports numpy, pandas or scikit-learn: a planner is small, however large the plan.
"""
