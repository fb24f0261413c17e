"""JSON texts that strangers sent: read in steps, and strict where readers usually are not."""
