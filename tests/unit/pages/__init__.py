"""Pages: their bytes, keys and rewriting."""
