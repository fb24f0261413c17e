"""Who may call, and how much: keys, limits on waiting rows, caps on what is open, idempotency keys.

It accepts and answers no jobs itself.
"""
