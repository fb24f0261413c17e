"""Model versions in PostgreSQL, and the signature that says what features a model takes.

No artefact is opened here: that needs scikit-learn.
"""
