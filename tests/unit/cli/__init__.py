"""The command line and the embedded stack, without a gateway."""
