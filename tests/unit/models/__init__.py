"""Models: their files, their signatures, their training."""
