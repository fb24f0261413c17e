"""Who may call, and how much: keys, limits on waiting rows, idempotency keys.

It accepts and answers no jobs itself.
"""
