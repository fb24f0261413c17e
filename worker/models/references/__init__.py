"""Reference rows: what a version answered when it was registered, kept so that other releases are held to it."""
