"""Texts, numbers and times in the reader's language. It knows nothing of screens."""
