"""The commands, one module per subject. Each only reads its options and calls the work."""
