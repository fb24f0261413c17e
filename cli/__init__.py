"""The `predictq` command and the stack it can bring along."""
