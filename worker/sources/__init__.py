"""Sources as workers see them: connections to them, reading their catalogue, and reading features by key.

Workers alone connect to a source. Every reading is one read-only transaction with time-outs, and no text from here
repeats a client key, a value, a statement or an address.
"""
