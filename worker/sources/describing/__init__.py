"""What a relation is, before it is a source: its catalogue, what can be its key, and how quickly it is read."""
